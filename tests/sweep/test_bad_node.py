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


# Kinds of fault, each with so many stages that the bad node could take them all.
STAGES = {"error": 24, "disk": 12, "crash": 12}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of a sweep for each fault, all on one cluster in processes of its own."""
    hidden = {"RAY_ADDRESS", "RAY_GCS_SERVER_PORT"}
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    faults = [f"{fault}={count}" for fault, count in STAGES.items()]
    ended = subprocess.run(
        [sys.executable, "-m", DRIVER, str(tmp_path_factory.mktemp("stores")), *faults],
        cwd=ROOT, env={**inherited, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=380, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("fault", STAGES)
def test_all_stages_are_done_by_the_good_node_and_the_bad_one_is_named(
    fault: str, outcomes: dict[str, Any]
) -> None:
    found = outcomes[fault]
    assert found["failed"] == {}
    assert found["done"] == STAGES[fault]
    assert list(found["avoided"]) == [found["bad"]]
    assert found["starts"][found["good"]] == STAGES[fault]
    assert found["starts"][found["bad"]] <= 8  # it has two CPUs
