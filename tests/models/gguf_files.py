"""Tiny GGUF files: those of `tests.models.folders`, converted as llama.cpp does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tests.models.folders import save
from tests.models.light import CHATML

# Names of a Llama's matrices in a layer, theirs -> llama.cpp's.
_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write(
    file: Path,
    *,
    quantised: str = "F32",
    template: str | None = CHATML,
    layers: int | None = None,
    more: dict[str, Any] | None = None,
    architecture: str = "llama",
    tokens: bool = True,
) -> Path:
    """Write a Llama of two layers beside the folder that it comes from, `FILE-source`.

    Args:
        quantised: ggml's name of the type of all matrices.
        layers: in the header, if it is to differ from the file.
        more: metadata that are added or changed; None leaves an entry out.
        tokens: if False, there is no vocabulary.
    """
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    source = save(file.with_name(f"{file.name}-source"), "tied", template=template)
    config = json.loads((source / "config.json").read_text())
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(file, architecture)
    _metadata(writer, config, layers, more or {}, template)
    if tokens:
        _vocabulary(writer, json.loads((source / "tokenizer.json").read_text()))
    for name, weight in load_file(source / "model.safetensors").items():
        kind = GGMLQuantizationType[quantised if weight.ndim > 1 else "F32"]
        stored = quantize(_permuted(name, weight, config), kind)
        writer.add_tensor(_named(name), stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _metadata(
    writer: Any, config: dict[str, Any], layers: int | None, more: dict[str, Any], template: Any
) -> None:
    writer.add_name("tiny")
    writer.add_license("mit")
    writer.add_block_count(config["num_hidden_layers"] if layers is None else layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(10000.0)
    if template is not None:
        writer.add_chat_template(template)
    for key, value in more.items():
        if isinstance(value, str):
            writer.add_string(key, value)
        else:
            writer.add_uint32(key, value)


def _vocabulary(writer: Any, tokenizer: dict[str, Any]) -> None:
    added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    ids = {**tokenizer["model"]["vocab"], **added}
    tokens = sorted(ids, key=lambda token: ids[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in added else 1 for token in tokens])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(ids["<|im_start|>"])
    writer.add_eos_token_id(ids["<|im_end|>"])
    writer.add_unk_token_id(ids["<|endoftext|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])


def _named(name: str) -> str:
    name = name.removeprefix("model.")
    if not name.startswith("layers."):
        return {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[
            name
        ]
    _, number, rest = name.split(".", 2)
    return f"blk.{number}.{_NAMES[rest.removesuffix('.weight')]}.weight"


def _permuted(name: str, weight: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Queries and keys in the order of llama.cpp's rotation."""
    heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
    for part, key in heads.items():
        if part in name:
            count = config[key]
            rows = weight.reshape(count, 2, weight.shape[0] // count // 2, *weight.shape[1:])
            return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(weight.shape))
    return weight
