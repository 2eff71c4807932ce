"""What each expert of a tiny mixture reads, token by token and by the formulas of its family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

FAMILIES = ("qwen3_moe", "gpt_oss")  # files hold the matrices of each expert, or of all in one

# By number of the block and of the expert: sums of squares of what its two matrices read.
Sums = dict[tuple[int, int], list[torch.Tensor]]


def reads(model: Any, texts: Sequence[Sequence[int]]) -> Sums:
    """Sum over all tokens of all texts; an expert that no token came to has no entry."""
    sums: Sums = {}
    for number, block in enumerate(model.model.layers):
        experts = block.mlp.experts

        def add(module: Any, args: tuple[torch.Tensor, ...], number: int = number) -> None:
            hidden, chosen = args[0], args[1]
            for token, ones in zip(hidden, chosen.tolist(), strict=True):
                for one in ones:
                    read = [token.square(), between(module, one, token).square()]
                    before = sums.get((number, one), [torch.zeros_like(each) for each in read])
                    sums[number, one] = [a + b for a, b in zip(before, read, strict=True)]

        experts.register_forward_pre_hook(add)
    with torch.no_grad():
        for ids in texts:
            model.base_model(torch.tensor([ids]), use_cache=False)
    return sums


def between(module: Any, expert: int, token: torch.Tensor) -> torch.Tensor:
    """What the second matrix of an expert reads of one token."""
    matrix = module.gate_up_proj[expert]
    if not module.has_bias:
        gate, up = (matrix @ token).chunk(2)
        return torch.nn.functional.silu(gate) * up
    both = token @ matrix + module.gate_up_proj_bias[expert]
    gate, up = both[::2].clamp(max=7.0), both[1::2].clamp(-7.0, 7.0)
    return (up + 1) * gate * torch.sigmoid(1.702 * gate)
