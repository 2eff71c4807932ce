"""One of two nodes fails at once what the other does in its time: it may not empty the queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]
DRIVER = "tests.sweep.on_two_nodes"


def outcome(store: Path, fault: str, stages: int) -> dict[str, Any]:
    """What became of a sweep in processes of its own."""
    hidden = {"RAY_ADDRESS", "RAY_GCS_SERVER_PORT"}
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    ended = subprocess.run(
        [sys.executable, "-m", DRIVER, str(store), fault, str(stages)],
        cwd=ROOT, env={**inherited, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=380, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(("fault", "stages"), [("error", 60), ("disk", 12), ("crash", 12)])
def test_all_stages_are_done_by_the_good_node_and_the_bad_one_is_named(
    fault: str, stages: int, tmp_path: Path
) -> None:
    found = outcome(tmp_path / "store", fault, stages)
    assert found["failed"] == {}
    assert found["done"] == stages
    assert list(found["avoided"]) == [found["bad"]]
    assert found["starts"][found["good"]] == stages
    assert found["starts"][found["bad"]] <= 8  # it has two CPUs
