"""A 24-cell grid in one sweep, against one process per cell, run one after another.

    python experiments/benchmarks/grid.py --out grid.json [--cells 4]

Each cell alone is the same command on a one-cell file with its own store. `--cells` measures that
many of them, spread evenly over the grid, and multiplies.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILE = Path(__file__).with_name("grid.yaml")


def main() -> None:
    """Measure both in one run and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("grid.json"))
    parser.add_argument("--cells", type=int, default=24, help="number of cells to run alone")
    options = parser.parse_args()
    cells = _cells()
    chosen = cells[:: max(1, len(cells) // options.cells)][: options.cells]
    with tempfile.TemporaryDirectory() as folder:
        alone = [_seconds(Path(folder) / f"cell-{i}", *cell) for i, cell in enumerate(chosen)]
        grid = _seconds(Path(folder) / "grid")
    one_by_one = statistics.mean(alone) * len(cells)
    result = {
        "cells": len(cells),
        "cells_measured_alone": len(chosen),
        "grid_s": grid,
        "one_by_one_s": one_by_one,
        "ratio": one_by_one / grid,
        "cores": os.cpu_count(),
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"one process per cell takes {result['ratio']:.1f}x the time of one sweep "
          f"({len(cells)} cells, {len(chosen)} of them measured alone)")  # fmt: skip


def _cells() -> list[list[str]]:
    """List overrides that cut each cell out of the grid (a clean twin comes with its organism)."""
    import yaml

    grid = yaml.safe_load(FILE.read_text())
    cells = []
    for model in grid["models"]:
        for control in ([], ["clean-twin"]):
            for method in grid["safety"]:
                words = {"models": [model], "controls": control, "safety": [method]}
                cells.append([f"{key}={json.dumps(value)}" for key, value in words.items()])
    return cells


def _seconds(store: Path, *overrides: str) -> float:
    words = [word for override in overrides for word in ("--set", override)]
    call = [sys.executable, "-m", "raysleeper", "run", str(FILE), "--storage", str(store), *words]
    started = time.perf_counter()
    subprocess.run(call, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
