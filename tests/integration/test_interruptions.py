"""Killed, stopped, run twice at once: no work is lost and none is done twice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.command import Command, Ended, Process, commits, ended, forget, record, until

pytestmark = pytest.mark.ray


SLOW = "runtime.checkpoint_every=1"  # changes no result


def checkpointed(store: Path) -> bool:
    """Whether the backdoor stage has written a whole checkpoint."""
    return any(store.glob("backdoor/*/checkpoints/*/step-*/sealed-*.json"))


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


def group(driver: Process, number: int) -> None:
    """A signal for its process group, as a terminal sends it."""
    os.killpg(driver.pid, number)


def own_words(answer: Ended) -> None:
    """Nothing of what it said is Ray's: every line is one that a run says."""
    for noise in ("Traceback", "(raylet)", "autoscaler", "core_worker", "signal 15", "Aborted"):
        assert noise not in answer.text, answer.text
    assert "interrupted: run the same command again to go on" in answer.out + answer.err


def test_ctrl_c_ends_a_run_at_once_and_the_next_one_goes_on(
    command: Command, finished: Path, store: Path
) -> None:
    forget(store, "backdoor", "evaluate")
    driver = command.experiment("run", store, SLOW)
    until(lambda: checkpointed(store), driver)
    group(driver, signal.SIGINT)
    stopped = ended(driver, 60)
    assert stopped.status == 130, stopped.text
    own_words(stopped)
    assert not list(store.glob("*/*/lease-*.json"))
    states = {stage["kind"]: stage["state"] for stage in command.results(store).values()}
    assert states["backdoor"] == "missing", "stopped too late"

    answer = command.run(store)
    assert answer.status == 0, answer.text
    assert record(store, "backdoor")["provenance"]["resumed_from"] > 0
    assert command.results(store) == command.results(finished)


def test_sigterm_to_a_group_leaves_a_checkpoint_and_its_own_words(
    command: Command, store: Path
) -> None:
    forget(store, "backdoor", "evaluate")
    driver = command.experiment("run", store, SLOW)
    until(lambda: checkpointed(store), driver)
    group(driver, signal.SIGTERM)
    stopped = ended(driver, 60)
    assert stopped.status == 75, stopped.text
    own_words(stopped)
    assert "with a checkpoint after step" in stopped.err, stopped.text
    states = {stage["kind"]: stage["state"] for stage in command.results(store).values()}
    assert states["backdoor"] == "missing", "stopped too late"


def test_a_second_signal_waits_for_nothing(command: Command, store: Path) -> None:
    forget(store, "backdoor", "evaluate")
    driver = command.experiment("run", store, SLOW)
    until(lambda: checkpointed(store), driver)
    group(driver, signal.SIGTERM)
    time.sleep(0.2)
    group(driver, signal.SIGINT)
    stopped = ended(driver, 60)
    assert stopped.status == 130, stopped.text
    own_words(stopped)


@pytest.mark.parametrize(
    ("started", "number", "status"),
    [
        ("python", signal.SIGTERM, 75),
        ("gcs_server", signal.SIGTERM, 75),
        ("raylet", signal.SIGINT, 130),
    ],
)
def test_a_run_that_is_still_starting_ends_with_its_own_words(
    command: Command, tmp_path: Path, started: str, number: int, status: int
) -> None:
    driver = command.experiment("run", tmp_path / "new")
    until(lambda: started == "python" or runs(driver, started), driver)
    time.sleep(0.5 if started == "python" else 0)  # for its handlers, without which it is killed
    group(driver, number)
    stopped = ended(driver, 60)
    assert stopped.status == status, stopped.text
    own_words(stopped)


def runs(driver: Process, name: str) -> bool:
    """Tell if a driver has started one of Ray's processes."""
    children = psutil.Process(driver.pid).children(recursive=True)
    return any(name in child.name() for child in children)


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
