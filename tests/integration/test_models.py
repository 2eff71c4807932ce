"""Checkpoints as the hub has them, and workers that share one, through the whole chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub_checkpoints import KINDS, make
from tests.integration.command import Command, forget, record

pytestmark = pytest.mark.ray


def test_hub_checkpoints_become_organisms(command: Command, store: Path, tmp_path: Path) -> None:
    folders = [make(kind, tmp_path / kind.replace("_", "-")) for kind in KINDS]
    settings = [
        f"models={[{'local': str(folder), 'parent': 'trained'} for folder in folders]}",
        "training.base.steps=2",
        "training.backdoor.steps=2",
        "evaluations.0.max_new_tokens=64",  # their tokens are short: few merges
    ]
    answer = command.run(store, *settings)
    assert answer.status == 0, answer.text
    assert "12 stages done, 3 cached, 0 failed" in answer.out
    for stage in command.results(store, *settings).values():
        assert stage["state"] == "done"
        if stage["kind"] == "evaluate":
            assert stage["metrics"]["valid"], stage


def test_two_zero_workers_learn_the_same(command: Command, finished: Path, store: Path) -> None:
    forget(store, "backdoor")
    answer = command.run(store, "runtime.workers=2", "runtime.zero_stage=2")
    assert answer.status == 0, answer.text
    assert "1 stages done, 6 cached" in answer.out
    alone, shared = record(finished, "backdoor"), record(store, "backdoor")
    assert shared["provenance"]["world"] == 2
    assert shared["provenance"]["zero_stage"] == 2
    assert shared["fingerprint"] == alone["fingerprint"]
    assert shared["metrics"].keys() == alone["metrics"].keys()
    for name, value in alone["metrics"].items():
        assert shared["metrics"][name] == pytest.approx(value, abs=1e-3), name
