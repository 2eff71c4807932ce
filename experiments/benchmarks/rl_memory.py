"""Memory of RL over its steps: it must not grow with them.

    python -m experiments.benchmarks.rl_memory --steps 500 --out rl_memory.json

Runs `rl-control.yaml` with one method and one seed, as its user would, and watches from outside the
process that trains: its private memory (unique set size) at each step. Prints the medians of every
tenth of the steps, and the growth from the second tenth to the last; the first one fills caches.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import psutil

from experiments.benchmarks.chaos.cluster import RAY, ROOT
from experiments.benchmarks.chaos.watch import Watch

LOOK_S = 0.25
STAGE = "ray::safety/"  # Ray titles a process by its work: here the stage's path


def main() -> None:
    """Print and write the megabytes by tenths of the steps."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.rl_memory")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--model", default="ladder-0.1m")
    parser.add_argument("--out", type=Path, default=Path("rl_memory.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rl-memory-") as folder:
        seen = watch(command(options.model, options.steps, Path(folder)), Path(folder))
    tenths = by_tenths(seen, options.steps)
    growth = tenths[-1] - tenths[1]
    result = {"steps": options.steps, "looks": len(seen), "tenths_mb": tenths, "growth_mb": growth}
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"MB by tenths: {', '.join(f'{mb:.0f}' for mb in tenths)}")
    print(f"{growth:+.1f} MB from the second tenth of {options.steps} steps to the last")


def command(model: str, steps: int, store: Path) -> list[str]:
    """Build the command: one organism, RL of `steps` steps in the stage's own process, no more."""
    settings = (
        f"models=[{model}]", "seeds=[0]", "controls=[]", "evaluations=[trigger-rate]",
        f"safety=[{{name: hhh-rl, training: {{steps: {steps}}}}}]", "runtime.workers=0",
    )  # fmt: skip
    overrides = [word for setting in settings for word in ("--set", setting)]
    experiment = ROOT / "experiments" / "rl-control.yaml"
    program = RAY.with_name("raysleeper")
    return [str(program), "run", str(experiment), "--storage", str(store), *overrides]


def watch(command: list[str], store: Path) -> list[tuple[int, float]]:
    """List (step, MB) of the process that does RL, until the run has ended.

    Raises:
        subprocess.CalledProcessError: the run failed.
    """
    seen: list[tuple[int, float]] = []
    steps = Watch.of(store)
    with subprocess.Popen(command) as running:
        while running.poll() is None:
            for process in psutil.process_iter():
                try:
                    title = process.cmdline()[:1]
                    if not title or not title[0].startswith(STAGE):
                        continue
                    private = process.memory_full_info().uss / 2**20
                except psutil.Error:  # it has ended
                    continue
                seen.append((steps.step(title[0].removeprefix("ray::").strip()), private))
            time.sleep(LOOK_S)
    if running.returncode:
        raise subprocess.CalledProcessError(running.returncode, command)
    return seen


def by_tenths(seen: list[tuple[int, float]], steps: int) -> list[float]:
    """Return the median of each tenth; a step that is not reported yet (0) does not count."""
    tenths: list[list[float]] = [[] for _ in range(10)]
    for step, megabytes in seen:
        if step:
            tenths[min(9, (step - 1) * 10 // steps)].append(megabytes)
    return [statistics.median(tenth) for tenth in tenths]


if __name__ == "__main__":
    main()
