"""A size that no device of this machine can hold is said, with its arithmetic; the rest runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.command import Command, ended, forget

pytestmark = pytest.mark.ray
SIZES = "models=[ladder-0.1m, qwen2.5-72b]"


def test_one_size_too_large_does_not_refuse_the_others(command: Command, store: Path) -> None:
    forget(store, "evaluate")
    answer = command.run(store, SIZES)
    assert answer.status == 1, answer.text
    assert "Traceback" not in answer.text
    assert "fits nowhere:" in answer.out
    assert "1 failed, 3 blocked (1 fits nowhere)" in answer.out

    stages = command.results(store, SIZES)
    large = {path: stage for path, stage in stages.items() if "qwen2.5-72b" in path}
    others = {path: stage for path, stage in stages.items() if path not in large}
    assert {stage["state"] for stage in others.values()} == {"done"}
    assert {stage["state"] for stage in large.values()} == {"unplaceable"}
    assert all("where" in stage["reason"] for stage in large.values())

    report = ended(command.experiment("report", store, SIZES))
    page = Path(command.folder, report.out.strip()).read_text()
    assert "fits nowhere" in page
    assert "qwen2.5-72b (72,706,203,648 parameters) does not fit" in page
