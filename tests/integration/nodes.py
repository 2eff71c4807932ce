"""Nodes of one Ray cluster on this machine that share no filesystem, as nodes of a real one do.

Every node is a mount namespace with a /tmp of its own, in which its home, its caches and all that
it writes lie; it has a host name and a loopback address of its own.  What is installed (this
checkout and its interpreter) is seen by all of them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.integration.command import HIDDEN, ROOT
from tests.integration.links import Link, Links

BIN = Path(sys.executable).parent
PREFIX = "127.0.7."  # of the nodes' addresses
PORTS = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "metrics-export-port",
         "runtime-env-agent-port", "node-manager-port", "object-manager-port")  # fmt: skip
STARTED_S = 120.0

# Folders below /tmp that stay visible are held open while a new /tmp covers them: by descriptors
# of this very namespace, as others cannot be mounted in it, and of one digit, as shells have.
_ENTER = """
set -e
held=3
for folder in $SEEN; do eval "exec $held<\"$folder\""; held=$((held + 1)); done
mount -t tmpfs none /tmp
held=3
for folder in $SEEN; do
  mkdir -p "$folder"
  mount --no-canonicalize --bind /proc/self/fd/$held "$folder"
  held=$((held + 1))
done
mkdir -p "$HOME"
hostname "$NODE_NAME"
exec setpriv --pdeathsig TERM "$@"  # a killed test leaves no node behind
"""


def unusable() -> str:
    """The reason why there can be no such nodes here; "" if there can."""
    if sys.platform != "linux":
        return "mount namespaces are Linux'"
    command = [*_unshare(), "sh", "-c", "mount -t tmpfs none /tmp && hostname a-node"]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        return f"no `unshare` (util-linux): {error}"
    said = tried.stderr.strip() or f"status {tried.returncode}"
    return "" if tried.returncode == 0 else f"no mount namespace can be made: {said}"


def _unshare() -> list[str]:
    user = [] if os.getuid() == 0 else ["--map-root-user"]
    return ["unshare", *user, "--mount", "--uts", "--propagation", "private"]


@dataclass
class Node:
    """One node: a process `ray start --block` in namespaces of its own."""

    name: str
    address: str
    process: subprocess.Popen[str]
    link: Link | None = None

    def enter(self, folder: Path, *command: str) -> list[str]:
        """`command` as one that runs on this node, in a folder that it sees."""
        user = [] if os.getuid() == 0 else ["--user", "--preserve-credentials"]
        inside = ["nsenter", "--target", str(self.process.pid), *user, "--mount", "--uts"]
        inside += ["--net"] if self.link else []
        return [*inside, "sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]


@dataclass
class Nodes:
    """A head without CPUs, on which the driver runs, and nodes that compute."""

    environment: dict[str, str]
    folder: Path  # of the driver: seen on the head only
    log: Path
    nodes: list[Node] = field(default_factory=list)
    address: str = ""
    links: Links | None = None  # None: all nodes share the network of this machine

    def start(self, workers: int, cpus: int = 1) -> None:
        """Start the head, and `workers` nodes of `cpus` each; returns when all have joined."""
        port = 6379 if self.links else free_ports(1, f"{PREFIX}1")[0]
        self.address = f"{self.links.prefix if self.links else PREFIX}1:{port}"
        head = ["--head", f"--port={port}", "--num-cpus=0", "--include-dashboard=false"]
        self._start("head", 1, head, [self.folder])
        if self.links is None:
            self._until(lambda: _listens(self.address), "the head does not answer")
        else:
            self._until(lambda: "Ray runtime started" in self._said(self.head), "no head")
        for number in range(1, workers + 1):
            join = [f"--address={self.address}", f"--num-cpus={cpus}"]
            self._start(f"worker-{number}", number + 1, join, [])
        self._until(lambda: self._joined() == workers, "not all nodes joined")

    @property
    def head(self) -> Node:
        return self.nodes[0]

    def environment_of(self, name: str) -> dict[str, str]:
        """The environment of every process of a node."""
        inherited = {key: value for key, value in os.environ.items() if key not in HIDDEN}
        return {
            **inherited,
            "PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(ROOT),
            "HOME": "/tmp/home",
            "TMPDIR": "/tmp",
            "NODE_NAME": name,
            "GLOO_SOCKET_IFNAME": "eth0" if self.links else "lo",
            "RAY_AUTH_MODE": "disabled",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            "TORCH_EXTENSIONS_DIR": str(_extensions()),
            **self.environment,
        }

    def _start(self, name: str, number: int, words: Sequence[str], seen: Sequence[Path]) -> None:
        link = self.links.to(number) if self.links else None
        address = link.address if link else f"{PREFIX}{number}"
        ports = zip(PORTS, _ports(address, link), strict=True)
        ray = [
            str(BIN / "ray"), "start", "--block", f"--node-ip-address={address}", *words,
            *(f"--{key}={port}" for key, port in ports), "--min-worker-port=0",
            "--max-worker-port=0", "--object-store-memory=100000000", "--memory=4000000000",
            "--disable-usage-stats",
        ]  # fmt: skip
        if name == "head":
            ray.append("--temp-dir=/tmp/ray")
        _extensions().mkdir(parents=True, exist_ok=True)
        folders = [ROOT, Path(sys.prefix), Path(sys.base_prefix), _extensions(), *seen]
        covered = dict.fromkeys(str(one) for one in folders if one.is_relative_to("/tmp"))
        network = ["nsenter", f"--net=/run/netns/{link.namespace}"] if link else []
        command = [*network, *_unshare(), "sh", "-c", _ENTER, "sh", *ray]
        with (self.log / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment_of(name), "SEEN": " ".join(covered)},
                text=True,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.nodes.append(Node(name, address, process, link))

    def _joined(self) -> int:
        return sum("Ray runtime started" in self._said(node) for node in self.nodes[1:])

    def _said(self, node: Node) -> str:
        return (self.log / f"{node.name}.log").read_text()

    def _until(self, condition: object, otherwise: str) -> None:
        assert callable(condition)
        end = time.monotonic() + STARTED_S
        while not condition():
            logs = "\n".join(f"{node.name}: {self._said(node)}" for node in self.nodes)
            assert all(node.process.poll() is None for node in self.nodes), logs
            assert time.monotonic() < end, f"{otherwise}\n{logs}"
            time.sleep(0.1)

    def stop(self) -> None:
        """End all nodes, and whatever they started; their folders go with them."""
        sessions = {node.process.pid for node in self.nodes}
        for node in reversed(self.nodes):
            node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            with suppress(subprocess.TimeoutExpired):
                node.process.wait(20)
        left = [process for process in psutil.process_iter() if _session(process.pid) in sessions]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        for node in self.nodes:
            node.process.wait(10)


def _ports(address: str, link: Link | None) -> list[int]:
    """Ports for the services of a node; in a network of its own all are free."""
    return list(range(7000, 7000 + len(PORTS))) if link else free_ports(len(PORTS), address)


def free_ports(number: int, address: str) -> list[int]:
    """Ports of an address that nobody listens on."""
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind((address, 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _extensions() -> Path:
    """The folder of DeepSpeed's compiled ops: they are installed, as on nodes of one image."""
    given = os.environ.get("TORCH_EXTENSIONS_DIR")
    return Path(given) if given else Path("~/.cache/torch_extensions").expanduser()


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError):
        socket.create_connection((host, int(port)), timeout=1).close()
        return True
    return False


def _session(pid: int) -> int | None:
    with suppress(OSError):
        return os.getsid(pid)
    return None
