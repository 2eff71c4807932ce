"""Killed, stopped, run twice at once: no work is lost and none is done twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.command import Command, commits, ended, forget, record, until

pytestmark = pytest.mark.ray


SLOW = "runtime.checkpoint_every=1"  # changes no result


def checkpointed(store: Path) -> bool:
    """Whether the backdoor stage has written a whole checkpoint."""
    return any(store.glob("backdoor/*/checkpoints/*/step-*/complete.json"))


def test_a_killed_run_goes_on_from_its_checkpoint(
    command: Command, finished: Path, store: Path
) -> None:
    forget(store, "backdoor", "evaluate")
    driver = command.experiment("run", store, SLOW)
    until(lambda: checkpointed(store), driver)
    workers = psutil.Process(driver.pid).children(recursive=True)
    stage = [worker for worker in workers if "ray::backdoor" in worker.name()]
    driver.kill()
    driver.communicate()
    gone, alive = psutil.wait_procs(stage, timeout=30)  # a worker sees within 2 s that Ray is gone
    assert gone
    assert not alive
    before = commits(store)
    assert not any("backdoor" in path.split("/") for path in before), "killed too late"

    answer = command.run(store)
    assert answer.status == 0, answer.text
    assert {path: when for path, when in commits(store).items() if path in before} == before
    assert 0 < record(store, "backdoor")["provenance"]["resumed_from"] < 200
    assert command.results(store) == command.results(finished)


def test_ctrl_c_ends_a_run_at_once_and_the_next_one_goes_on(
    command: Command, finished: Path, store: Path
) -> None:
    forget(store, "backdoor", "evaluate")
    driver = command.experiment("run", store, SLOW)
    until(lambda: checkpointed(store), driver)
    driver.send_signal(signal.SIGINT)
    stopped = ended(driver, 60)
    assert stopped.status == 130, stopped.text
    assert "run the same command again to go on" in stopped.out
    assert "Traceback" not in stopped.err
    assert not list(store.glob("*/*/lease-*.json"))
    states = {stage["kind"]: stage["state"] for stage in command.results(store).values()}
    assert states["backdoor"] == "missing", "stopped too late"

    answer = command.run(store)
    assert answer.status == 0, answer.text
    assert record(store, "backdoor")["provenance"]["resumed_from"] > 0
    assert command.results(store) == command.results(finished)


def test_two_runs_at_once_do_no_stage_twice(command: Command, finished: Path, store: Path) -> None:
    forget(store, "data", "base", "backdoor", "evaluate")
    drivers = [command.experiment("run", store) for _ in range(2)]
    attempts = set()  # every attempt of a stage writes into a folder of its own
    while any(driver.poll() is None for driver in drivers):
        attempts |= {folder.relative_to(store) for folder in store.glob("*/*/files-*")}
        time.sleep(0.01)
    for answer in map(ended, drivers):
        assert answer.status == 0, answer.text
    assert len(attempts) == len(commits(store)) == 7, sorted(attempts)
    assert command.results(store) == command.results(finished)
