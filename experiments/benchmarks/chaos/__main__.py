"""Disturb the grid, again and again, and report the outcome of each disturbance.

python -m experiments.benchmarks.chaos --seed 0 --disturbances 100 [--kinds node disk] [--only 37]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from experiments.benchmarks.chaos.cluster import Cluster
from experiments.benchmarks.chaos.disturb import Harness, Outcome, reads_bucket
from experiments.benchmarks.chaos.draw import draw
from experiments.benchmarks.chaos.kinds import KINDS
from experiments.benchmarks.chaos.s3 import LOOPBACK, Bucket
from tests.integration.links import linked, unusable

MB_PER_S = 50.0  # of each node's link
DISK_BYTES = 448 * 1024**2  # of each node's: what its check before the first stage wants, and more


def main() -> None:
    """Print one line per disturbance and a summary, and write JSON; status 1 if one failed."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no cluster behind
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=options.folder))
    numbers = range(options.first, options.disturbances)
    if options.only is not None:
        numbers = range(options.only, options.only + 1)
    outcomes: list[Outcome] = []
    with ExitStack() as at_end:
        links = None if (why := unusable()) else at_end.enter_context(linked(MB_PER_S))
        print(why or f"nodes have networks of their own at {MB_PER_S:g} MB/s", flush=True)
        bucket = at_end.enter_context(Bucket(links.address if links else LOOPBACK))
        disks = DISK_BYTES if os.geteuid() == 0 else 0
        environment = {**bucket.environment, "RAYSLEEPER_CACHE": str(folder / "cache")}
        cluster = at_end.enter_context(
            Cluster(environment=environment, head_cpus=0, disk_bytes=disks, links=links)
        )
        reads_bucket(bucket)
        harness = Harness(folder, cluster, bucket, options.silence, options.cut)
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
    parser.add_argument("--silence", type=float, default=180.0, help="seconds of a store")
    parser.add_argument("--cut", type=float, default=60.0, help="seconds of a node's link")
    parser.add_argument("--only", type=int, help="run only this number")
    parser.add_argument(
        "--folder", type=Path, default=Path("/tmp"), help="must be short: it holds sockets"
    )
    parser.add_argument("--out", type=Path, default=Path("chaos.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
