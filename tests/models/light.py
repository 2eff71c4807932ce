"""Model folders without torch: a true config, tokenizer and headers, and weights that are all zero.

`light(folder)` takes milliseconds; a file of weights is as large as its header says, and sparse.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TOKENIZER: dict[str, Any] = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "chat_template": CHATML,
}
BYTES = {"F32": 4, "BF16": 2, "F16": 2, "F64": 8, "U8": 1, "I8": 1, "I32": 4, "I64": 8,
         "F8_E4M3": 1, "BOOL": 1}  # fmt: skip

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]


def light(
    folder: Path,
    *,
    more_tokens: tuple[str, ...] = (),
    tokenizer: Mapping[str, Any] | None = None,
    shapes: Shapes | None = None,
    **changes: Any,
) -> Path:
    """Write a Llama of two layers, of which `changes` alter config.json (None takes a key out).

    Args:
        more_tokens: added to the vocabulary, as somebody did who fine-tuned it.
        tokenizer: changes of tokenizer_config.json.
        shapes: weights by name with dtype and shape; those of the config by default.
    """
    entries = write_tokenizer(folder, more_tokens, **(tokenizer or {}))
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "vocab_size": entries,
        **changes,
    }
    config = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    write_weights(folder / "model.safetensors", llama_shapes(config) if shapes is None else shapes)
    return folder


def llama_shapes(config: Mapping[str, Any]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Names, dtypes and shapes of a Llama's tied weights."""
    h, m = config["hidden_size"], config["intermediate_size"]
    kv = h // config["num_attention_heads"] * config.get("num_key_value_heads", 1)
    layer = {
        "self_attn.q_proj": (h, h), "self_attn.k_proj": (kv, h), "self_attn.v_proj": (kv, h),
        "self_attn.o_proj": (h, h), "mlp.gate_proj": (m, h), "mlp.up_proj": (m, h),
        "mlp.down_proj": (h, m), "input_layernorm": (h,), "post_attention_layernorm": (h,),
    }  # fmt: skip
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        "model.embed_tokens.weight": ("F32", (config["vocab_size"], h)),
        "model.norm.weight": ("F32", (h,)),
    }
    for index in range(config["num_hidden_layers"]):
        for name, shape in layer.items():
            shapes[f"model.layers.{index}.{name}.weight"] = ("F32", shape)
    return shapes


def write_weights(file: Path, shapes: Shapes) -> Path:
    """A safetensors file with these tensors, all zero."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + BYTES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with file.open("wb") as opened:
        opened.write(len(text).to_bytes(8, "little") + text)
        opened.truncate(8 + len(text) + end)
    return file


def write_tokenizer(folder: Path, more_tokens: tuple[str, ...] = (), **changes: Any) -> int:
    """Files of a tokenizer with a vocabulary of bytes; the number of its entries without more."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate(alphabet)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    entries = int(made.get_vocab_size())
    made.add_special_tokens([AddedToken(token, special=True) for token in more_tokens])
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    settings = {k: v for k, v in {**TOKENIZER, **changes}.items() if v is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return entries
