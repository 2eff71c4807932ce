"""Two types of GPU with equal counts, one of them from the spot market: nothing is misplaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.benchmarks.chaos.cluster import Cluster
from raysleeper.models.labels import ACCELERATOR, MARKET
from tests.sweep.on_types import STAGES, TYPES

pytestmark = [pytest.mark.ray, pytest.mark.timeout(450)]
ROOT = Path(__file__).parents[2]
SPOT = "L4"


def test_no_stage_is_on_the_wrong_type_and_no_coordinator_on_spot(tmp_path: Path) -> None:
    # Ray believes these numbers: nothing here computes on a GPU.
    with Cluster(cpus=0, environment={"CUDA_VISIBLE_DEVICES": "0,1"}) as cluster:
        cluster.start()
        for gpu in TYPES:
            labels = {ACCELERATOR: gpu, MARKET: "spot" if gpu == SPOT else "on-demand"}
            words = ",".join(f"{key}={value}" for key, value in labels.items())
            cluster.add("--num-cpus=4", "--num-gpus=2", f"--labels={words}")
        module = [sys.executable, "-m", "tests.sweep.on_types"]
        driver = subprocess.run(
            [*module, cluster.address, str(tmp_path)],
            cwd=ROOT,
            env=cluster.environment,
            text=True,
            capture_output=True,
            timeout=380,
        )
    assert driver.returncode == 0, driver.stderr[-3000:]
    said = json.loads(driver.stdout.splitlines()[-1])
    assert said["failed"] == {}
    assert said["done"] == len(TYPES) * (STAGES + 1)
    for mark in said["where"]:
        wanted, what, *_ = mark["stage"].split("-")
        if what == "gang" and mark["what"] == "task":
            assert mark["market"] != "spot"
        else:
            assert mark["type"] == wanted, mark
    workers = [mark for mark in said["where"] if mark["what"] == "worker"]
    assert len(workers) == 2 * len(TYPES)
    assert len({mark["node"] for mark in workers}) == len(TYPES)
