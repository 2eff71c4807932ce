"""Tiny models whose heads are as wide as vLLM's attention for CPUs asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Families and their classes in vLLM.
FAMILIES = {
    "llama": "LlamaForCausalLM",
    "gpt_neox": "GPTNeoXForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
END_BOOST = 3  # makes the end of an answer likelier, so that lengths differ

SHARED: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}


def make(family: str, tokenizer: PreTrainedTokenizerBase, folder: Path, **changes: Any) -> Path:
    """Write a random model of two layers with two heads of width 32, and its tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        family,
        **{**SHARED, **_more(family), **changes},
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        model.get_output_embeddings().weight[tokenizer.eos_token_id] *= END_BOOST
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _more(family: str) -> dict[str, Any]:
    if family == "gpt2":
        return {}
    shared: dict[str, Any] = {"intermediate_size": 128}
    if family.startswith("qwen"):
        shared |= {"num_key_value_heads": 1, "head_dim": 32}
    return shared


def known(family: str) -> None:
    """Import vLLM's class here; vLLM would look at it in another process, for ten seconds."""
    from importlib import import_module

    from vllm import ModelRegistry

    module = import_module(f"vllm.model_executor.models.{family}")
    ModelRegistry.register_model(FAMILIES[family], getattr(module, FAMILIES[family]))
